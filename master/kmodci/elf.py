"""A kernel module as a file: what its ELF sections say of it.

The file comes out of a container that ran somebody else's Makefile: anything may be in it, and whatever
the parser stumbles over becomes a VerifyError.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from .errors import VerifyError

# the largest modules there are (GPU drivers) have tens of MB and tens of thousands of symbols
_MAX_SIZE = 128 << 20
_MAX_SYMBOLS = 500_000
# struct modversion_info (include/linux/module.h): unsigned long crc; char name[64 - sizeof(unsigned long)]
_VERSION = struct.Struct("<Q56s")
_EXPORT = "__ksymtab_"
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
    try:
        return _parse(ELFFile(BytesIO(ko)))
    except VerifyError:
        raise
    except DAMAGE as damage:
        raise VerifyError([f"damaged ELF file: {type(damage).__name__}: {damage}"]) from damage


def _parse(elf: ELFFile) -> KernelModule:
    sections = {section.name: section for section in elf.iter_sections()}
    undefined, exports = set[str](), set[str]()
    if isinstance(table := sections.get(".symtab"), SymbolTableSection):
        undefined, exports = _symbols(table)
    contents = {
        name: sections[name].data() if name in sections else b""
        for name in (".modinfo", "__versions", "__version_ext_crcs", "__version_ext_names")
    }
    return KernelModule(
        machine=str(elf["e_machine"]),
        relocatable=elf.elfclass == 64 and elf.little_endian and elf["e_type"] == "ET_REL",
        sections=frozenset(sections),
        modinfo=_modinfo(contents[".modinfo"]),
        undefined=frozenset(undefined),
        exports=frozenset(exports),
        crcs=_crcs(contents["__versions"])
        | _extended_crcs(contents["__version_ext_crcs"], contents["__version_ext_names"]),
    )


def _symbols(table: SymbolTableSection) -> tuple[set[str], set[str]]:
    """Undefined and exported ones."""
    if table.num_symbols() > _MAX_SYMBOLS:
        raise VerifyError([f"{table.num_symbols()} symbols, more than the {_MAX_SYMBOLS} that a module may have"])
    undefined, exports = set[str](), set[str]()
    for symbol in table.iter_symbols():
        if symbol["st_shndx"] == "SHN_UNDEF":
            if symbol.name and symbol["st_info"]["bind"] != "STB_WEAK":
                undefined.add(symbol.name)
        elif symbol.name.startswith(_EXPORT):
            exports.add(symbol.name.removeprefix(_EXPORT))
    return undefined, exports


def _modinfo(data: bytes) -> dict[str, tuple[str, ...]]:
    """Strings `key=value`, each ended by NULs."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in data.decode("utf-8", "replace").split("\0"):
        key, sign, value = entry.partition("=")
        if sign:
            found[key] = (*found.get(key, ()), value)
    return found


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
