"""The files of apt's repositories: Release and Packages.

Sources: https://wiki.debian.org/DebianRepository/Format and Debian Policy, chapters 5 and 7. An index
of 60 MB holds a handful of stanzas that matter, so it is searched and not parsed: parsing all 68,829
stanzas of one index with python-debian costs 5.4 s of CPU, searching costs 0.02 s.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from kmodci.errors import IndexDamaged
from kmodci.release import BadName, check_version

from .base import Dependency, Listed, Scan

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,127}")
_FILENAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z+.~_%:/-]{0,511}")
_DEPENDENCY = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?"
    r"(?:\s*\(\s*(?P<relation><<|<=|=|>=|>>)\s*(?P<version>[^\s()]+)\s*\))?"
)
_LONGEST_STANZA = 4 * 1024 * 1024
_LARGEST_PACKAGE = 4 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """A file that a Release vouches for."""

    size: int
    """bytes"""
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a suite says about itself."""

    date: datetime
    valid_until: datetime | None
    suite: str
    codename: str
    by_hash: bool
    files: Mapping[str, IndexFile]
    """by path, relative to the Release file"""


def parse_release(text: str) -> Release:
    """Raises IndexDamaged if a field that is needed is missing or not what it should be."""
    fields = _fields(text)
    try:
        return Release(
            date=_date(fields["Date"]),
            valid_until=_date(fields["Valid-Until"]) if "Valid-Until" in fields else None,
            suite=fields.get("Suite", ""),
            codename=fields.get("Codename", ""),
            by_hash=fields.get("Acquire-By-Hash", "") == "yes",
            files=dict(_files(fields["SHA256"])),
        )
    except KeyError as fault:
        raise IndexDamaged(f"the Release file has no field {fault.args[0]}") from fault


def scan_packages(
    chunks: Iterable[bytes], *, mirror: str, prefixes: Collection[str] = (), names: Collection[str] = ()
) -> Scan:
    """The packages whose name begins with a prefix (see `base.Wanted`) or is one of the names.

    chunks: a decompressed Packages file; no more than a piece of it is held at any time. mirror: the base URL that
    file names are relative to.
    Raises IndexDamaged if it is not such a file.
    """
    parts = [prefix.partition("*") for prefix in prefixes]
    needles = [(f"\nPackage: {begin}".encode(), rest.encode()) for begin, _, rest in parts]
    needles += [(f"\nPackage: {name}\n".encode(), b"") for name in names]
    listed: list[Listed] = []
    problems: list[str] = []
    for piece in _whole_stanzas(chunks):
        for raw in _found(piece, needles):
            try:
                listed.append(_package(raw, mirror.rstrip("/")))
            except (BadName, IndexDamaged) as fault:
                problems.append(f"{_title(raw)}: {fault.brief}")
    return Scan(listed=tuple(listed), problems=tuple(problems))


def _whole_stanzas(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, cut between stanzas; every piece begins and ends with an empty line."""
    rest = b"\n\n"
    for chunk in chunks:
        data = rest + chunk
        cut = data.rfind(b"\n\n")
        if cut:
            yield data[: cut + 2]
        rest = data[cut:]
        if len(rest) > _LONGEST_STANZA:
            raise IndexDamaged("not a Packages file: no end of a stanza within 4 MiB")
    yield rest + b"\n\n"


def _found(piece: bytes, needles: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    """needles: how a line begins, and what else is in it."""
    for needle, rest in needles:
        at = piece.find(needle)
        while at >= 0:
            end = piece.find(b"\n\n", at)
            if not rest or rest in piece[at + len(needle) : piece.find(b"\n", at + len(needle))]:
                # Policy does not say that Package comes first, although it does in every archive seen.
                yield piece[piece.rfind(b"\n\n", 0, at + 1) + 2 : end]
            at = piece.find(needle, end)


def _package(raw: bytes, mirror: str) -> Listed:
    """Raises BadName, IndexDamaged."""
    try:
        fields = _fields(raw.decode())
        version = check_version(fields["Version"])
        source, _, source_version = fields.get("Source", fields["Package"]).partition(" ")
        return Listed(
            name=_match(_PACKAGE, fields["Package"], "package name"),
            version=version,
            arch=_match(_PACKAGE, fields["Architecture"], "architecture"),
            depends=tuple(_depends(fields.get("Depends", ""))),
            url=f"{mirror}/{_match(_FILENAME, fields['Filename'], 'file name')}",
            size=_size(fields["Size"], _LARGEST_PACKAGE),
            sha256=_match(_SHA256, fields["SHA256"], "SHA256"),
            source=_match(_PACKAGE, source, "source package"),
            source_version=check_version(source_version.strip("() ") or version),
        )
    except KeyError as fault:
        raise IndexDamaged(f"the field {fault.args[0]} is missing") from fault
    except UnicodeDecodeError as fault:
        raise IndexDamaged(f"not UTF-8: {fault}") from fault


def _title(raw: bytes) -> str:
    """The stanza's name for a message, harmless whatever it holds."""
    name = re.search(rb"^Package: (.*)$", raw, re.MULTILINE)
    return repr(name[1][:80].decode(errors="replace")) if name else "a package"


def _depends(text: str) -> Iterator[tuple[Dependency, ...]]:
    for group in filter(None, map(str.strip, text.split(","))):
        yield tuple(_dependency(one.strip()) for one in group.split("|"))


def _dependency(text: str) -> Dependency:
    found = _DEPENDENCY.fullmatch(text)
    if not found:
        raise IndexDamaged(f"not a dependency: {text[:80]!r}")
    return Dependency(name=found["name"], relation=found["relation"] or "", version=found["version"] or "")


def _files(text: str) -> Iterator[tuple[str, IndexFile]]:
    for line in filter(None, text.split("\n")):
        words = line.split()
        if len(words) != 3:
            raise IndexDamaged(f"not a line of a Release file's SHA256: {line[:120]!r}")
        digest = _match(_SHA256, words[0], "SHA256")
        yield words[2], IndexFile(size=_size(words[1], 64 * 1024**3), sha256=digest)


def _fields(text: str) -> dict[str, str]:
    """The fields of one stanza (Policy 5.1); continuation lines keep their line ends."""
    fields: dict[str, str] = {}
    last = ""
    for line in text.split("\n"):
        if line[:1] in (" ", "\t"):
            fields[last] = f"{fields.get(last, '')}\n{line.strip()}"
        elif ":" in line:
            last, _, value = line.partition(":")
            fields[last] = value.strip()
    return fields


def _match(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text) or ".." in text:
        raise BadName(f"not a {what}: {text[:80]!r}")
    return text


def _size(text: str, largest: int) -> int:
    if not (text.isascii() and text.isdigit()) or int(text[:20]) > largest:
        raise IndexDamaged(f"not a size in bytes: {text[:40]!r}")
    return int(text)


def _date(text: str) -> datetime:
    try:
        date = parsedate_to_datetime(text)
    except ValueError as fault:
        raise IndexDamaged(f"not a date: {text[:40]!r}") from fault
    return date if date.tzinfo else date.replace(tzinfo=UTC)
