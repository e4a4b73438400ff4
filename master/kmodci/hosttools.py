"""The programs of a header tree that kbuild runs, and whether they run where builds do.

Vendors compile them for the machine that their kernel is for: those of arm64 kernels run on arm64 only, and what was
linked with a newer C library than the image's does not start (`GLIBC_2.38 not found`, falcosecurity/falco#3524).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from itertools import islice

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from .elf import DAMAGE, is_sound
from .model import BUILD_ARCH

_MAGIC = b"\x7fELF"
_LITTLE_64 = b"\x02\x01"
# by architecture: ELF's name of the processor, and what starts a program that is linked with the C library
_MACHINES = {
    "amd64": ("EM_X86_64", "/lib64/ld-linux-x86-64.so.2"),
    "arm64": ("EM_AARCH64", "/lib/ld-linux-aarch64.so.1"),
}
_FOLDERS = ("scripts/", "tools/")
_VERSION = "GLIBC_"
_MOST = 100
_SECTIONS = 1000
Version = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a program needs to run."""

    path: str
    """below the kernel's own folder: `scripts/mod/modpost`"""
    machine: str
    """ELF's name of the processor (`EM_AARCH64`); empty for a file that cannot be read"""
    loader: str = ""
    """what is to start it; empty for one that needs none"""
    glibc: Version = ()
    """the newest version that it asks the C library for (2.38 -> 2, 38); empty for one that asks for none"""

    def runs_with(self, glibc: Version | None, arch: str = BUILD_ARCH) -> bool:
        """glibc: of the image; None where it is not known, and taken to be new enough. arch: of the image, too."""
        machine, loader = _MACHINES[arch]
        return self.machine == machine and self.loader in ("", loader) and (glibc is None or self.glibc <= glibc)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTools:
    """The programs of a kernel's own folder."""

    programs: tuple[Program, ...] = ()

    def run_with(self, glibc: Version | None, arch: str = BUILD_ARCH) -> bool:
        """Whether all do; see `Program.runs_with`."""
        return all(each.runs_with(glibc, arch) for each in self.programs)

    def to_make_again(
        self, glibc: Version | None, config: Mapping[str, str], arch: str = BUILD_ARCH
    ) -> tuple[list[str], list[str]]:
        """Of those that do not run: the ones that building a module takes, and those that only some modules use.

        What is left are programs for building a kernel.
        """
        lame = [each.path for each in self.programs if not each.runs_with(glibc, arch)]
        needed = _needed(config)
        return [path for path in lame if path in needed], [path for path in lame if path in _SOMETIMES]

    def to_json(self) -> str:
        """Empty where there are none, which is so for all of Debian's: they are in a package of their own."""
        return json.dumps(asdict(self)) if self.programs else ""

    @classmethod
    def from_json(cls, text: str) -> "HostTools":
        """Of what `to_json` wrote."""
        if not text:
            return cls()
        data = json.loads(text)
        programs = (Program(**{**each, "glibc": tuple(each["glibc"])}) for each in data["programs"])
        return cls(programs=tuple(programs))


def program(path: str, content: bytes) -> Program | None:
    """None for what is no program: a script, an object, another place than where kbuild has its programs."""
    if not path.startswith(_FOLDERS) or not content.startswith(_MAGIC):
        return None
    if content[4:6] == _LITTLE_64 and not is_sound(content, sections=_SECTIONS):
        return Program(path=path, machine="")
    try:
        elf = ELFFile(BytesIO(content))
        if elf["e_type"] == "ET_REL":
            return None
        if content[4:6] != _LITTLE_64:
            return Program(path=path, machine=str(elf["e_machine"]))
        return Program(path=path, machine=str(elf["e_machine"]), loader=_loader(elf), glibc=_glibc(elf))
    except DAMAGE:
        return Program(path=path, machine="")


# what modules that are signed, or that read the kernel's symbols, call by themselves
_SOMETIMES = frozenset({"scripts/sign-file", "scripts/kallsyms"})


def _needed(config: Mapping[str, str]) -> set[str]:
    """By scripts/Makefile.build, Makefile.lib and Makefile.modfinal, of 5.10 to 7.2, where there is no vmlinux."""
    on = {name for name, value in config.items() if value == "y"}
    found = {"scripts/basic/fixdep", "scripts/mod/modpost"}
    if on & {"CONFIG_OBJTOOL", "CONFIG_STACK_VALIDATION", "CONFIG_UNWINDER_ORC"}:
        found.add("tools/objtool/objtool")
    if "CONFIG_MODVERSIONS" in on:
        dwarf = "CONFIG_GENDWARFKSYMS" in on
        found.add("scripts/gendwarfksyms/gendwarfksyms" if dwarf else "scripts/genksyms/genksyms")
    if "CONFIG_FTRACE_MCOUNT_USE_RECORDMCOUNT" in on:
        found.add("scripts/recordmcount")
    return found


def _loader(elf: ELFFile) -> str:
    segments = islice(elf.iter_segments("PT_INTERP"), 1)
    return next((str(segment.get_interp_name())[:200] for segment in segments), "")


def _glibc(elf: ELFFile) -> Version:
    # what a damaged file says of their number could take for ever
    versions = [
        _numbers(auxiliary.name.removeprefix(_VERSION))
        # a program has one
        for section in islice(elf.iter_sections("SHT_GNU_verneed"), 1)
        if isinstance(section, GNUVerNeedSection)
        for _, auxiliaries in islice(section.iter_versions(), _MOST)
        for auxiliary in islice(auxiliaries, _MOST)
        if auxiliary.name.startswith(_VERSION)
    ]
    return max(versions, default=())


def _numbers(text: str) -> Version:
    """`2.38` -> 2, 38; nothing for GLIBC_PRIVATE, GLIBC_ABI_DT_RELR."""
    parts = text.split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()
