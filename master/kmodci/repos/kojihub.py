"""What is asked of a Koji hub, by XML-RPC, and its answers by type.

Sources: Koji 1.35 (https://pagure.io/koji). kojihub/kojihub.py: getPackageID, listBuilds, listRPMs, getRPMChecksums.
koji/__init__.py: `encode_args`, by which arguments with names are a dict with `__starstar`, the last of all; `PathInfo`
says where files are.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from kmodci.errors import IndexDamaged
from kmodci.release import BadName

from .base import Fetches
from .xmlrpc import Argument, RpcFault, call

_COMPLETE = 1  # koji.BUILD_STATES
_PART = re.compile(r"[0-9A-Za-z_][0-9A-Za-z+.~^_-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# XML-RPC's int; a larger one (Koji's `<i8>`) could not be sent back
_LARGEST_ID = (1 << 31) - 1
_LARGEST_PACKAGE = 4 * 1024**3

Row = Mapping[object, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A finished build of a package."""

    identity: int
    name: str
    version: str
    release: str
    volume: str
    """`DEFAULT`, or another disk of the hub's"""
    completed: float
    """seconds since the epoch"""

    def __str__(self) -> str:
        return f"{self.name}-{self.version}-{self.release}"

    @property
    def folder(self) -> str:
        """Where its files are, below the top of the hub's files."""
        volume = "" if self.volume == "DEFAULT" else f"vol/{self.volume}/"
        return f"{volume}packages/{self.name}/{self.version}/{self.release}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltRpm:
    """A package of a build."""

    identity: int
    name: str
    epoch: str
    """empty for none"""
    version: str
    release: str
    arch: str
    size: int
    """bytes, as it was built: a signature makes it another"""

    @property
    def path(self) -> str:
        """Below a build's folder, or below one with its signed copies."""
        return f"{self.arch}/{self.name}-{self.version}-{self.release}.{self.arch}.rpm"


@dataclass(frozen=True, slots=True)
class Hub:
    """Everything raises FetchError; and IndexDamaged, or BadName, for answers that are not what they should be."""

    fetcher: Fetches
    url: str

    def package_id(self, name: str) -> int | None:
        """None where there is no such package."""
        found = self._call("getPackageID", [name])
        if found is None or (_is_int(found) and 0 <= found <= _LARGEST_ID):
            return found
        raise IndexDamaged(f"{self.url}: getPackageID answers with {found!r:.80}")

    def builds(self, package: int, pattern: str, *, count: int, offset: int = 0) -> list[Row]:
        """The newest finished builds first, as rows for `build_of`. pattern: of `name-version-release`, a glob."""
        options: dict[str, Argument] = {"order": "-completion_time,-build_id", "limit": count, "offset": offset}
        rows = self._rows("listBuilds", [package], {"state": _COMPLETE, "pattern": pattern, "queryOpts": options})
        if len(rows) > count:
            raise IndexDamaged(f"{self.url}: listBuilds answers with {len(rows)} builds, and {count} were asked for")
        return rows

    def rpms(self, build: Build, arches: Sequence[str]) -> list[Row]:
        """The packages of a build that are for these architectures, as rows for `rpm_of`."""
        return self._rows("listRPMs", [build.identity], {"arches": list(arches)})

    def checksums(self, rpm: BuiltRpm) -> Mapping[str, str] | None:
        """SHA256 of each copy of a package that is signed, by the key's id; of the one that is not, by ``.

        Empty for a copy whose SHA256 the hub has not stored. None where the hub does not know such checksums
        (before Koji 1.32).
        """
        try:
            named: dict[str, Argument] = {"checksum_types": ["sha256"], "cacheonly": True}
            found = self._call("getRPMChecksums", [rpm.identity], named)
        except RpcFault as fault:
            if "Invalid method" in fault.text:
                return None
            raise
        if not isinstance(found, dict):
            raise IndexDamaged(f"{self.url}: getRPMChecksums answers with {found!r:.80}")
        return dict(_checksums(found))

    def _rows(self, method: str, arguments: list[Argument], named: Mapping[str, Argument]) -> list[Row]:
        found = self._call(method, arguments, named)
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise IndexDamaged(f"{self.url}: {method} answers with {found!r:.80}")
        return found

    def _call(self, method: str, arguments: list[Argument], named: Mapping[str, Argument] | None = None) -> object:
        return call(self.fetcher, self.url, method, [*arguments, *([{**named, "__starstar": True}] if named else [])])


def build_of(row: Row) -> Build | None:
    """None for a draft, which may still be dropped. Raises BadName, IndexDamaged."""
    if row.get("draft"):
        return None
    completed = row.get("completion_ts")
    return Build(
        identity=_number(row, "build_id"),
        name=_part(row, "name"),
        version=_part(row, "version"),
        release=_part(row, "release"),
        volume=_part(row, "volume_name"),
        completed=float(completed) if isinstance(completed, int | float) else 0.0,
    )


def rpm_of(row: Row) -> BuiltRpm:
    """Raises BadName, IndexDamaged."""
    epoch = row.get("epoch")
    return BuiltRpm(
        identity=_number(row, "id"),
        name=_part(row, "name"),
        epoch=str(epoch) if _is_int(epoch) else "",
        version=_part(row, "version"),
        release=_part(row, "release"),
        arch=_part(row, "arch"),
        size=_number(row, "size", _LARGEST_PACKAGE),
    )


def _checksums(found: Row) -> Iterator[tuple[str, str]]:
    for key, sums in found.items():
        if isinstance(key, str) and isinstance(sums, dict):
            digest = sums.get("sha256")
            yield key, digest if isinstance(digest, str) and _SHA256.fullmatch(digest) else ""


def _number(row: Row, name: str, largest: int = _LARGEST_ID) -> int:
    value = row.get(name)
    if not _is_int(value) or not 0 <= value <= largest:
        raise IndexDamaged(f"{name} is {value!r:.60}")
    return value


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _part(row: Row, name: str) -> str:
    """Of a path."""
    value = row.get(name)
    if not isinstance(value, str) or not _PART.fullmatch(value) or ".." in value:
        raise BadName(f"{name} is {value!r:.60}")
    return value
