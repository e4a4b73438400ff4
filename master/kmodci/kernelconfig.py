"""A kernel's configuration: the file that kconfig writes as `.config`, and what it tells of its kernel."""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping

from .errors import IndexDamaged
from .unpack import DAMAGE, decompressed, limited

# those of distributions have 300 KB
_LARGEST = 4 << 20
_LINE = re.compile(rb"CONFIG_[A-Za-z0-9_]+=.*|#.*|\s*")
_TITLE = re.compile(r"^# Linux/\S+ ([0-9]+\.[0-9]+\.[0-9]+)\S* Kernel Configuration$", re.MULTILINE)
_VERSION_TEXT = re.compile(r"\b(gcc|clang)\b.*?\s([0-9]{1,2})\.[0-9]+")
_ARCHES = {"CONFIG_X86_64": "amd64", "CONFIG_ARM64": "arm64"}


def plain_config(content: bytes, what: str) -> bytes:
    """The text of a configuration that may be compressed, and that in base64 (as /proc/config.gz, and lists, have it).

    what: where it is from, for messages. Raises IndexDamaged for what is no configuration.
    """
    try:
        plain = _decompressed(content, what)
        if not _is_config(plain):
            plain = _decompressed(_of_base64(content), what)
    except DAMAGE as damage:
        raise IndexDamaged(f"{what}: damaged configuration: {damage}") from damage
    if not _is_config(plain):
        raise IndexDamaged(f"{what}: not a kernel's configuration: it begins with {content[:20]!r}")
    return plain


def parse_config(text: str) -> dict[str, str]:
    """The options that are set, without quotes: `CONFIG_MODULES` -> `y`."""
    pairs = (line.partition("=") for line in text.splitlines() if line.startswith("CONFIG_"))
    return {name: value.strip('"') for name, sign, value in pairs if sign}


def compiler_of(config: Mapping[str, str]) -> str:
    """The toolchain that a kernel's configuration names (`gcc-12`); empty where it names none that can be read.

    CONFIG_CC_VERSION_TEXT is the first line of `$(CC) --version` (init/Kconfig, since 5.8); CONFIG_GCC_VERSION and
    CONFIG_CLANG_VERSION are numbers like 120200 (since 4.18). What vendors call their compiler differs
    (`gcc (Ubuntu 13.3.0-6ubuntu2) 13.3.0`, `x86_64-linux-gnu-gcc-12 (...)`); the numbers do not.
    """
    for kind in ("gcc", "clang"):
        number = config.get(f"CONFIG_{kind.upper()}_VERSION", "0")
        if number.isdecimal() and int(number[:9]) >= 10_000:
            return f"{kind}-{int(number[:9]) // 10_000}"
    found = _VERSION_TEXT.search(config.get("CONFIG_CC_VERSION_TEXT", ""))
    return f"{found[1]}-{found[2]}" if found else ""


def arch_of(config: Mapping[str, str]) -> str:
    """The architecture it is for, of those that we build for; else empty."""
    return next((arch for option, arch in _ARCHES.items() if config.get(option) == "y"), "")


def version_of(text: str) -> str:
    """The version of the source that it was made with (`6.12.59`), by its first lines; empty where they do not say."""
    found = _TITLE.search(text[:1000])
    return found[1] if found else ""


def _of_base64(content: bytes) -> bytes:
    """Nothing, if it is none."""
    try:
        return b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        return b""


def _decompressed(content: bytes, what: str) -> bytes:
    return limited(decompressed(content), _LARGEST, what).read()


def _is_config(plain: bytes) -> bool:
    return b"CONFIG_" in plain and all(_LINE.fullmatch(line) for line in plain.splitlines())
