"""The database of a pacman repository: a compressed tar with a folder for each package, whose `desc` says what it is.

Sources: repo-add(8); alpm-repo-db(7) and alpm-repo-desc(5) of the ALPM project (https://alpm.archlinux.page). The
largest database lists 15,000 packages; passing over all and reading the few that are looked for takes 0.6 s of CPU.
"""

import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from kmodci.errors import IndexDamaged
from kmodci.release import BadName, check_version
from kmodci.unpack import DAMAGE, decompressed, limited

from .base import Dependency, Listed, Wanted, arch_of

LIMIT = 64 * 1024 * 1024
"""bytes of a database as it is served; Arch's largest has 9 million"""
_UNPACKED = 512 * 1024 * 1024
_ENTRY = 1024 * 1024
_LARGEST_PACKAGE = 4 * 1024**3

_NAME = re.compile(r"[a-z0-9][a-z0-9@._+-]{0,127}")
_FILENAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z@._+:~-]{0,255}\.pkg\.tar(?:\.[a-z0-9]{2,4})?")
_ARCH = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DEPENDENCY = re.compile(
    r"(?P<name>[a-zA-Z0-9@_+][a-zA-Z0-9@._+-]*)(?:(?P<relation><=|>=|=|<|>)(?P<version>[^\s:]\S*))?"
)
_HINT = "is this the mirror's base URL, and has it this repository? Something else is served there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """What was looked for in a database, and what could not be taken, each with the reason."""

    listed: tuple[Listed, ...]
    problems: tuple[str, ...]
    dated: datetime
    """when the last package was added to it"""


def read_database(content: bytes, *, folder: str, wanted: Wanted) -> Database:
    """The packages whose name begins with a prefix or is one of the names.

    content: the whole file, compressed in any way that repo-add knows. folder: the URL that file names are relative to.
    Raises IndexDamaged if it is no such database.
    """
    listed: list[Listed] = []
    problems: list[str] = []
    dated = 0.0
    entries = 0
    try:
        with tarfile.open(fileobj=limited(decompressed(content), _UNPACKED, "the database"), mode="r|") as tar:
            for info in tar:
                name, slash, file = info.name.removeprefix("./").rpartition("/")
                entries += bool(slash and file == "desc")
                dated = max(dated, info.mtime)
                if file == "desc" and info.isreg() and _may_be(name, wanted):
                    try:
                        package = _package(_entry(tar, info), folder)
                    except (BadName, IndexDamaged) as fault:
                        problems.append(f"{name[:80]!r}: {fault.brief}")
                    else:
                        listed += [package] if _is_wanted(package, wanted) else []
        return Database(listed=tuple(listed), problems=tuple(problems), dated=_date(dated, entries))
    except DAMAGE as fault:
        raise IndexDamaged(f"not a pacman database: {fault}", hint=_HINT) from fault


def _date(newest: float, entries: int) -> datetime:
    """A repository without packages has an empty tar; but a tar of something else is no database."""
    if newest and not entries:
        raise IndexDamaged("not a pacman database: no package has a `desc` in it", hint=_HINT)
    try:
        return datetime.fromtimestamp(newest, UTC)
    except (ValueError, OverflowError, OSError) as fault:
        raise IndexDamaged(f"not a pacman database: an entry is dated {newest}") from fault


def _may_be(folder: str, wanted: Wanted) -> bool:
    """A folder is called by its package's name and version."""
    return folder.startswith(wanted.prefixes) or any(folder.startswith(f"{name}-") for name in wanted.names)


def _is_wanted(listed: Listed, wanted: Wanted) -> bool:
    return listed.name.startswith(wanted.prefixes) or listed.name in wanted.names


def _entry(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Mapping[str, Sequence[str]]:
    """The fields of a package. Raises IndexDamaged."""
    if info.size > _ENTRY:
        raise IndexDamaged(f"its entry has {info.size} bytes")
    file = tar.extractfile(info)
    try:
        return dict(_fields(file.read().decode() if file else ""))
    except UnicodeDecodeError as fault:
        raise IndexDamaged(f"not UTF-8: {fault}") from fault


def _fields(text: str) -> Iterator[tuple[str, list[str]]]:
    """`%NAME%`, the values on a line each, an empty line."""
    for block in text.split("\n\n"):
        title, *values = block.strip("\n").split("\n")
        if len(title) > 2 and title.startswith("%") and title.endswith("%"):
            yield title.strip("%"), values


def _package(fields: Mapping[str, Sequence[str]], folder: str) -> Listed:
    """Raises BadName, IndexDamaged."""
    version = check_version(_only(fields, "VERSION"))
    return Listed(
        name=_one(fields, "NAME", _NAME),
        version=version,
        arch=arch_of(_one(fields, "ARCH", _ARCH)),
        url=f"{folder}/{_one(fields, 'FILENAME', _FILENAME)}",
        size=_size(_only(fields, "CSIZE")),
        # without it, the package's own signature has to vouch for it
        sha256=_one(fields, "SHA256SUM", _SHA256) if "SHA256SUM" in fields else "",
        depends=tuple((_dependency(text),) for text in fields.get("DEPENDS", ())),
        source=_one(fields, "BASE", _NAME) if "BASE" in fields else "",
        source_version=version,
    )


def _only(fields: Mapping[str, Sequence[str]], name: str) -> str:
    values = fields.get(name, ())
    if len(values) != 1:
        raise IndexDamaged(f"%{name}% has {len(values)} values")
    return values[0]


def _one(fields: Mapping[str, Sequence[str]], name: str, pattern: re.Pattern[str]) -> str:
    text = _only(fields, name)
    if not pattern.fullmatch(text) or ".." in text:
        raise BadName(f"not a %{name}%: {text[:80]!r}")
    return text


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text[:20]) > _LARGEST_PACKAGE:
        raise IndexDamaged(f"not a size in bytes: {text[:40]!r}")
    return int(text)


def _dependency(text: str) -> Dependency:
    """`glibc>=2.38`, `libfoo.so=1-64`."""
    found = _DEPENDENCY.fullmatch(text)
    if not found:
        raise IndexDamaged(f"not a dependency: {text[:80]!r}")
    return Dependency(name=found["name"], relation=found["relation"] or "", version=found["version"] or "")
