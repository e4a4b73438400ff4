"""Whether what a build made may be published, judged by the files alone.

The container is not trusted: what it says about itself is not asked. Also how the kernel's distribution
compresses its modules, because a module is published as its neighbours are.
"""

import gzip
import hashlib
import lzma
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import zstandard

from .elf import KernelModule, parse
from .errors import VerifyError

_MACHINES = {"amd64": "EM_X86_64", "arm64": "EM_AARCH64"}
_FILE = re.compile(r"[A-Za-z0-9_-]{1,64}\.ko")
# where the kernel keeps `struct module` of a module that it loads
_NEEDED_SECTIONS = (".modinfo", ".gnu.linkonce.this_module")
_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFacts:
    """A module that may be published."""

    file: str
    """`v4l2loopback.ko`, without a suffix of compression"""
    name: str
    """what the kernel calls it once loaded"""
    vermagic: str
    depends: tuple[str, ...]
    """modules that must be loaded before"""
    srcversion: str
    undefined: int
    """symbols that it needs, all found in what the kernel exports, if that is known"""
    checked: int
    """how many of them by CRC; 0 for a kernel without CONFIG_MODVERSIONS"""
    sha256: str
    """of the uncompressed file"""
    size: int
    """bytes, uncompressed"""


def verify(
    files: Mapping[str, bytes],
    *,
    release: str,
    arch: str,
    symvers: Mapping[str, int] | None,
    config: Mapping[str, str],
) -> tuple[ModuleFacts, ...]:
    """Judges all modules of one build together, for one may use what another exports.

    files: file name -> uncompressed content; symvers, config: the kernel's, from its header bundle; symvers is None
    where nobody has said what the kernel exports: then symbols are not judged.
    Raises VerifyError with every reason found.
    """
    if not files:
        raise VerifyError(["the build wrote no module"])
    problems: list[str] = []
    parsed: dict[str, KernelModule] = {}
    for file, ko in files.items():
        if not _FILE.fullmatch(file):
            problems.append(f"{file[:80]!r} is not a module's file name")
            continue
        try:
            parsed[file] = parse(ko)
        except VerifyError as error:
            problems.extend(f"{file}: {problem}" for problem in error.problems)
    exported = frozenset(symbol for module in parsed.values() for symbol in module.exports)
    for file, module in parsed.items():
        found = (*_shape(file, module, release, arch), *_symbols(module, symvers, config, exported))
        problems.extend(f"{file}: {problem}" for problem in found)
    if problems:
        raise VerifyError(problems)
    return tuple(_facts(file, parsed[file], files[file], config) for file in sorted(files))


def compress(ko: bytes, config: Mapping[str, str]) -> tuple[bytes, str]:
    """The module as this kernel's distribution stores its own, and the suffix for its name ("" for none)."""
    if config.get("CONFIG_MODULE_COMPRESS_XZ") == "y":
        # what modules_install asks of xz (scripts/Makefile.modinst): the kernel's own decompressor knows no other check
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20}]
        return lzma.compress(ko, check=lzma.CHECK_CRC32, filters=filters), ".xz"
    if config.get("CONFIG_MODULE_COMPRESS_ZSTD") == "y":
        return zstandard.ZstdCompressor(level=9, write_checksum=True).compress(ko), ".zst"
    if config.get("CONFIG_MODULE_COMPRESS_GZIP") == "y":
        return gzip.compress(ko, mtime=0), ".gz"
    return ko, ""


def _shape(file: str, module: KernelModule, release: str, arch: str) -> Iterator[str]:
    """All but the symbols."""
    if not module.relocatable or module.machine != _MACHINES.get(arch):
        yield f"not a module for {arch}: {module.machine}{'' if module.relocatable else ', and not a 64-bit ET_REL'}"
    for section in _NEEDED_SECTIONS:
        if section not in module.sections:
            yield f"no section {section}"
    if debug := [section for section in module.sections if section.startswith((".debug_", ".zdebug_"))]:
        yield f"not stripped of debug information ({len(debug)} sections)"
    built_for = module.info("vermagic").partition(" ")[0]
    if built_for != release:
        yield f"built for the kernel {built_for[:80]!r}, not {release}"
    if module.info("name") != _name(file):
        yield f"calls itself {module.info('name')[:80]!r}"


def _symbols(
    module: KernelModule, symvers: Mapping[str, int] | None, config: Mapping[str, str], exported: frozenset[str]
) -> Iterator[str]:
    if symvers is None:
        if config.get("CONFIG_MODVERSIONS") == "y":
            yield "the kernel wants the CRCs of its symbols (CONFIG_MODVERSIONS), and nobody has said them"
        return
    unknown = module.undefined - symvers.keys() - exported
    yield from _some("the kernel does not export", unknown)
    if config.get("CONFIG_MODVERSIONS") != "y":
        return
    needed = (module.undefined & symvers.keys()) - exported
    # the kernel refuses a module without it (kernel/module/version.c, check_modstruct_version)
    needed |= {"module_layout"} & symvers.keys()
    yield from _some("no CRC for", needed - module.crcs.keys())
    known = needed & module.crcs.keys()
    yield from _some("built with another CRC of", {name for name in known if module.crcs[name] != symvers[name]})


def _some(what: str, names: set[str] | frozenset[str]) -> Iterator[str]:
    if names:
        shown = ", ".join(sorted(names)[:_SHOWN])[:1000]
        yield f"{what} {shown}{f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''}"


def _facts(file: str, module: KernelModule, ko: bytes, config: Mapping[str, str]) -> ModuleFacts:
    return ModuleFacts(
        file=file,
        name=module.info("name"),
        vermagic=module.info("vermagic"),
        depends=tuple(name for name in module.info("depends").split(",") if name),
        srcversion=module.info("srcversion"),
        undefined=len(module.undefined),
        checked=len(module.crcs) if config.get("CONFIG_MODVERSIONS") == "y" else 0,
        sha256=hashlib.sha256(ko).hexdigest(),
        size=len(ko),
    )


def _name(file: str) -> str:
    """`nf-tables.ko` loads as `nf_tables`."""
    return file.removesuffix(".ko").replace("-", "_")
