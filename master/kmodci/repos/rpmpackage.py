"""An rpm package as an index lists it, in XML or in a database: its fields, checked by type."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from kmodci.release import BadName, check_version

from .base import Dependency, Listed, Wanted, arch_of
from .repodata import Checksum

_NAME = re.compile(r"[0-9A-Za-z_][0-9A-Za-z+._-]{0,127}")
_PART = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~^_]{0,63}")
_ARCH = re.compile(r"[0-9a-z][0-9a-z_]{0,31}")
_SOURCE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+-[^-]+)\.(no)?src\.rpm")
# how an index writes a relation, and how `Dependency` does
_RELATIONS: Mapping[str, str] = {"LT": "<<", "LE": "<=", "EQ": "=", "GE": ">=", "GT": ">>"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One of what a package provides or requires, as an index writes it."""

    name: str
    flags: str = ""
    epoch: str = ""
    version: str = ""
    release: str = ""


def make_listed(
    *,
    name: str,
    version: str,
    arch: str,
    url: str,
    size: int,
    checksum: Checksum,
    provides: Iterable[Entry] = (),
    requires: Iterable[Entry] = (),
    source: str = "",
) -> Listed:
    """version: as `evr` makes it; url: as `located` makes it; source: the source package's file. Raises BadName."""
    built_from = _SOURCE.fullmatch(source)
    return Listed(
        name=_match(_NAME, name, "package name"),
        version=version,
        arch=arch_of(_match(_ARCH, arch, "name of an architecture")),
        url=url,
        size=size,
        # of any other kind, nothing is kept: the package's own signature has to vouch for it
        sha256=checksum.digest if checksum.algorithm == "sha256" else "",
        provides=tuple(_provided(provides)),
        depends=tuple((one,) for one in _required(requires)),
        source=_match(_NAME, built_from["name"], "source package") if built_from else "",
        source_version=check_version(built_from["version"]) if built_from else "",
    )


def evr(epoch: str, version: str, release: str) -> str:
    """`5.14.0-503.el9`, or with an epoch other than 0 `1:5.14.0-503.el9`. Raises BadName."""
    text = f"{_match(_PART, version, 'version')}-{_match(_PART, release, 'package release')}"
    if epoch in ("", "0"):
        return check_version(text)
    if not re.fullmatch(r"[1-9][0-9]{0,8}", epoch):
        raise BadName(f"not an epoch: {epoch[:40]!r}")
    return check_version(f"{epoch}:{text}")


def is_wanted(package: Listed, wanted: Wanted) -> bool:
    """Whether it was looked for: an index has source packages, and some have other architectures, as well."""
    return wanted.has(package.name) and package.arch in (*wanted.arches, "all")


def _provided(entries: Iterable[Entry]) -> Iterator[Dependency]:
    """Those with a version. One that is odd may be what the kernel calls itself: nothing is guessed then."""
    for entry in entries:
        if _NAME.fullmatch(entry.name) and entry.flags == "EQ":
            yield Dependency(name=entry.name, relation="=", version=_version(entry))


def _required(entries: Iterable[Entry]) -> Iterator[Dependency]:
    """Those that are packages: not files, nor `kmod(x.ko)` or conditions, nor what somebody forgot to fill in."""
    for entry in entries:
        if not _NAME.fullmatch(entry.name):
            continue
        if entry.flags in _RELATIONS:
            with suppress(BadName):
                yield Dependency(name=entry.name, relation=_RELATIONS[entry.flags], version=_version(entry))
        elif not entry.flags:
            yield Dependency(name=entry.name)


def _version(entry: Entry) -> str:
    """Raises BadName."""
    if entry.release:
        return evr(entry.epoch, entry.version, entry.release)
    return _match(_PART, entry.version, "version")


def _match(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text) or ".." in text:
        raise BadName(f"not a {what}: {text[:80]!r}")
    return text
