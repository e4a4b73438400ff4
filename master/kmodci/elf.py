"""A kernel module as a file: what its ELF sections say of it.

The file comes out of a container that ran somebody else's Makefile: anything may be in it. So nothing that it says of
itself is asked for before it was held against the file's own size: no section that is packed or that has no bytes in
the file, no name without an end, no more of anything than a module has. (pyelftools, which believes a file, takes
gigabytes and minutes for a module of a megabyte that was made for that.) See elf(5).
"""

import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.enums import ENUM_E_MACHINE

from .errors import VerifyError

# the largest modules there are (GPU drivers) have tens of MB and tens of thousands of symbols
_MAX_SIZE = 128 << 20
_MAX_SYMBOLS = 500_000
# of those that it needs
_MAX_UNDEFINED = 50_000
# a kernel's symbol has no more than 512 characters (KSYM_NAME_LEN, include/linux/kallsyms.h), a section fewer
_LONGEST_NAME = 512
# of all of a module's names: a function may have a section of its own
_MAX_SECTIONS = 60_000
# bytes of those sections whose content is read
_MAX_CONTENT = 4 << 20
_FILE = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_LITTLE_64 = b"\x7fELF\x02\x01"
_ET_REL = 1
_SHT_SYMTAB, _SHT_STRTAB, _SHT_NOBITS = 2, 3, 8
_SHF_COMPRESSED = 0x800
_SHN_UNDEF, _STB_WEAK = 0, 2
_MACHINES = {number: name for name, number in ENUM_E_MACHINE.items() if isinstance(number, int)}
# struct modversion_info (include/linux/module.h): unsigned long crc; char name[64 - sizeof(unsigned long)]
_VERSION = struct.Struct("<Q56s")
_EXPORT = b"__ksymtab_"
_READ = (".modinfo", "__versions", "__version_ext_crcs", "__version_ext_names")
# pyelftools checks little: bad offsets, indices and types in a file show as nearly any of Python's own errors
DAMAGE = (
    ELFError,
    ConstructError,
    struct.error,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RecursionError,
    MemoryError,
    OSError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelModule:
    """What a .ko says of itself."""

    machine: str
    """ELF's name of the processor (`EM_X86_64`)"""
    relocatable: bool
    """64 bits, little endian, ET_REL: what a loader of modules takes"""
    sections: frozenset[str]
    modinfo: Mapping[str, tuple[str, ...]]
    """`vermagic` -> its values, in order; most have one"""
    undefined: frozenset[str]
    """symbols it must find in the kernel or in another module; weak ones left out"""
    exports: frozenset[str]
    """symbols it offers to other modules"""
    crcs: Mapping[str, int]
    """symbol -> the CRC that it was built with; empty without CONFIG_MODVERSIONS"""

    def info(self, key: str) -> str:
        """The first value of a modinfo key, or ""."""
        return next(iter(self.modinfo.get(key, ())), "")


def parse(ko: bytes) -> KernelModule:
    """Reads a module. Raises VerifyError if it is not one, or not sound enough to tell."""
    if not ko.startswith(b"\x7fELF"):
        raise VerifyError([f"not an ELF file: {len(ko)} bytes, beginning with {ko[:8]!r}"])
    if len(ko) > _MAX_SIZE:
        raise VerifyError([f"{len(ko) >> 20} MiB, more than the {_MAX_SIZE >> 20} that a module may have"])
    if len(ko) < _FILE.size:
        raise _damage(f"{len(ko)} bytes")
    _, kind, machine, *_ = _FILE.unpack_from(ko)
    if not ko.startswith(_LITTLE_64):
        kind, machine = 0, int.from_bytes(ko[18:20], "little" if ko[5] != 2 else "big")
    elif kind == _ET_REL:
        return _parse(_Elf(ko), machine)
    nothing = frozenset[str]()
    return KernelModule(
        machine=_machine(machine),
        relocatable=False,
        sections=nothing,
        modinfo={},
        undefined=nothing,
        exports=nothing,
        crcs={},
    )


@dataclass(frozen=True, slots=True)
class _Section:
    """A line of the section table."""

    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int


@dataclass(slots=True)
class _Elf:
    """The sections of a relocatable file. Every method raises VerifyError for what is out of bounds."""

    ko: bytes
    sections: list[_Section] = field(default_factory=list)

    def __post_init__(self) -> None:
        *_, start, _, _, _, _, size, count, names = _FILE.unpack_from(self.ko)
        # more than SHN_LORESERVE are counted elsewhere, and no module has them
        if size != _SECTION.size or not 0 < count <= _MAX_SECTIONS or start + size * count > len(self.ko):
            raise _damage(f"{count} sections of {size} bytes at {start}")
        table = list(_SECTION.iter_unpack(self.ko[start : start + size * count]))
        if names >= count:
            raise _damage("sections without names")
        where = self._within(table[names][4], table[names][5])
        for name, kind, flags, _, offset, length, link, *_ in table:
            self.sections.append(_Section(self.name(where, name), kind, flags, offset, length, link))

    def _within(self, offset: int, size: int) -> slice:
        if offset + size > len(self.ko):
            raise _damage(f"{size} bytes at {offset}, of {len(self.ko)}")
        return slice(offset, offset + size)

    def name(self, table: slice, offset: int) -> str:
        """A string of a string table."""
        start = table.start + offset
        end = self.ko.find(b"\0", start, min(start + _LONGEST_NAME, table.stop))
        if end < 0:
            raise _damage("a name without an end")
        return self.ko[start:end].decode("utf-8", "replace")

    def content(self, name: str) -> bytes:
        """Of the section of that name; empty if there is none."""
        found = [section for section in self.sections if section.name == name]
        if len(found) > 1:
            raise _damage(f"{len(found)} sections {name}")
        if not found:
            return b""
        [section] = found
        if section.kind == _SHT_NOBITS or section.flags & _SHF_COMPRESSED or section.size > _MAX_CONTENT:
            raise _damage(f"{name} is packed, or empty, or has {section.size} bytes")
        return self.ko[self._within(section.offset, section.size)]

    def symbols(self) -> Iterator[tuple[int, int, int, slice]]:
        """Name's offset, binding, section, and where the names are."""
        tables = [section for section in self.sections if section.kind == _SHT_SYMTAB]
        if len(tables) > 1:
            raise _damage(f"{len(tables)} symbol tables")
        for table in tables:
            count, rest = divmod(table.size, _SYMBOL.size)
            if count > _MAX_SYMBOLS:
                raise VerifyError([f"{count} symbols, more than the {_MAX_SYMBOLS} that a module may have"])
            if rest or table.link >= len(self.sections) or self.sections[table.link].kind != _SHT_STRTAB:
                raise _damage("a symbol table without names")
            strings = self.sections[table.link]
            names = self._within(strings.offset, strings.size)
            for name, info, _, section, _, _ in _SYMBOL.iter_unpack(self.ko[self._within(table.offset, table.size)]):
                yield name, info >> 4, section, names


def _parse(elf: _Elf, machine: int) -> KernelModule:
    undefined, exports = _symbols(elf)
    contents = {name: elf.content(name) for name in _READ}
    return KernelModule(
        machine=_machine(machine),
        relocatable=True,
        sections=frozenset(section.name for section in elf.sections),
        modinfo=_modinfo(contents[".modinfo"]),
        undefined=frozenset(undefined),
        exports=frozenset(exports),
        crcs=_crcs(contents["__versions"])
        | _extended_crcs(contents["__version_ext_crcs"], contents["__version_ext_names"]),
    )


def _symbols(elf: _Elf) -> tuple[set[str], set[str]]:
    """Undefined and exported ones."""
    undefined, exports = set[str](), set[str]()
    for offset, binding, section, names in elf.symbols():
        if section == _SHN_UNDEF:
            if offset and binding != _STB_WEAK:
                undefined.add(elf.name(names, offset))
        elif elf.ko.startswith(_EXPORT, names.start + offset):
            exports.add(elf.name(names, offset + len(_EXPORT)))
        if len(undefined) + len(exports) > _MAX_UNDEFINED:
            raise VerifyError([f"more than the {_MAX_UNDEFINED} symbols that a module may need or offer"])
    return undefined, exports


def _machine(number: int) -> str:
    return str(_MACHINES.get(number, f"machine {number}"))


def _damage(what: str) -> VerifyError:
    return VerifyError([f"damaged ELF file: {what}"])


def _modinfo(data: bytes) -> dict[str, tuple[str, ...]]:
    """Strings `key=value`, each ended by NULs."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for entry in data.decode("utf-8", "replace").split("\0"):
        key, sign, value = entry.partition("=")
        if sign:
            found[key].append(value)
    return {key: tuple(values) for key, values in found.items()}


def _crcs(data: bytes) -> dict[str, int]:
    """The section `__versions`."""
    if len(data) % _VERSION.size:
        raise VerifyError([f"damaged ELF file: __versions has {len(data)} bytes, not a multiple of {_VERSION.size}"])
    return {_text(name): crc for crc, name in _VERSION.iter_unpack(data)}


def _extended_crcs(crcs: bytes, names: bytes) -> dict[str, int]:
    """The sections of CONFIG_EXTENDED_MODVERSIONS (Linux 6.14, for names too long for the other): CRCs and names."""
    values = [crc for (crc,) in struct.iter_unpack("<I", crcs)]
    keys = [_text(name) for name in names.split(b"\0")[:-1]]
    if len(values) != len(keys):
        raise VerifyError([f"damaged ELF file: {len(values)} extended CRCs for {len(keys)} names"])
    return dict(zip(keys, values, strict=True))


def _text(name: bytes) -> str:
    return name.partition(b"\0")[0].decode("utf-8", "replace")
