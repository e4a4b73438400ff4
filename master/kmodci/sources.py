"""Where modules come from, and how their source gets into one archive, whatever it came from.

Two steps, because the first is asked often and must be cheap: `resolve` says what the source is now, `pack`
gets exactly that.
"""

import hashlib
import json
import posixpath
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from . import git
from .errors import BuildImpossible, IndexDamaged
from .folder import digest_of, folder_members
from .model import ModuleVersion, Package, check_module_version
from .release import check_name
from .repos.packages import package_members
from .tarzst import Kind, Member, frame, write
from .unpack import DAMAGE, Limits, decompressed, limited, members

_TARBALL_LIMIT = 256 << 20
_USR_SRC = re.compile(r"usr/src/(.+)")


class Downloads(Protocol):
    """What we ask of `downloads.Downloads`."""

    def get(self, url: str, *, limit: int, sha256: str = "") -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSource:
    """A branch, tag or commit of a repository; with `tags`, a glob, the newest such tag instead."""

    url: str
    ref: str = "HEAD"
    tags: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TarballSource:
    """A tarball, plain or compressed with gzip, bzip2, xz or zstd."""

    url: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSource:
    """A folder of this machine, as it is now, without its `.git`."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSource:
    """A Debian package with a module's source for DKMS, as an index lists it now."""

    package: Package


Source = GitSource | TarballSource | FolderSource | PackageSource


def resolve(module: str, source: Source, *, version: str = "") -> ModuleVersion:
    """What the source is now. version: given by the user; "" leaves it to the source.

    Raises FetchError, NotFound, BuildImpossible, BadName.
    """
    check_name(module, "module")
    match source:
        case GitSource():
            found = _resolve_git(module, source)
        case TarballSource():
            found = _resolve_tarball(module, source)
        case FolderSource():
            found = _resolve_folder(module, source)
        case PackageSource():
            found = _resolve_package(module, source)
    return replace(found, version=check_module_version(version or found.version))


def pack(module: ModuleVersion, downloads: Downloads, target: Path) -> Path:
    """Gets exactly the source that was resolved, and writes it to target, a `.tar.zst` with the source at its top.

    Raises FetchError, IndexDamaged, BuildImpossible.
    """
    match dict(module.fetch):
        case {"git": url, "commit": commit}:
            content = git.archive(url, commit, limit=Limits().size)
            found = list(_tar_members(content, module.origin))
        case {"tarball": url, "sha256": sha256}:
            found = _without_top(_tar_members(_tarball(downloads, url, sha256), url))
        case {"folder": path}:
            found = list(folder_members(Path(path)))
            if digest_of(found) != module.digest:
                raise BuildImpossible(f"{path}: changed since it was looked at", hint="it is looked at again by itself")
        case {"package": fields}:
            found = _dkms_members(Package(**json.loads(fields)), downloads)
        case other:
            raise BuildImpossible(f"{module.module}: cannot get a source from {other}")
    if not any(member.kind is Kind.FILE for member in found):
        raise BuildImpossible(f"{module.module}: no file in {module.origin}")
    write(target, [frame(sorted(found, key=lambda member: member.name))])
    return target


def _resolve_git(module: str, source: GitSource) -> ModuleVersion:
    ref = git.newest_tag(source.url, source.tags) if source.tags else git.look(source.url, source.ref)
    return ModuleVersion(
        module=module,
        version=_tag_version(ref.tag) if ref.tag else f"git-{ref.commit[:12]}",
        origin=f"{source.url} {ref.tag or source.ref} {ref.commit[:12]}",
        fetch={"git": source.url, "commit": ref.commit},
        digest=ref.commit,
    )


def _resolve_tarball(module: str, source: TarballSource) -> ModuleVersion:
    fetch = {"tarball": source.url, "sha256": source.sha256}
    version = f"sha256-{source.sha256[:12]}"
    return ModuleVersion(module=module, version=version, origin=source.url, fetch=fetch, digest=source.sha256)


def _resolve_folder(module: str, source: FolderSource) -> ModuleVersion:
    path = source.path.absolute()
    digest = digest_of(folder_members(path))
    fetch = {"folder": str(path)}
    return ModuleVersion(module=module, version=f"local-{digest[:12]}", origin=str(path), fetch=fetch, digest=digest)


def _resolve_package(module: str, source: PackageSource) -> ModuleVersion:
    package = source.package
    return ModuleVersion(
        module=module,
        version=package.version,
        origin=f"{package.name} {package.version}",
        fetch={"package": json.dumps(asdict(package))},
        digest=package.sha256,
    )


def _tag_version(tag: str) -> str:
    """`v1.2` is version 1.2."""
    return re.sub(r"^v(?=[0-9])", "", tag).replace("/", "-")


def _tarball(downloads: Downloads, url: str, sha256: str) -> bytes:
    content = downloads.get(url, limit=_TARBALL_LIMIT)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise IndexDamaged(
            f"{url}: its SHA256 is {found}, not {sha256}",
            hint="if the tarball was meant to change, write the new SHA256 into modules.yml",
        )
    return content


def _tar_members(content: bytes, what: str) -> Iterator[Member]:
    plain = limited(decompressed(content), Limits().size, what)
    try:
        with tarfile.open(fileobj=plain, mode="r|") as tar:
            yield from members(tar, what=what, place=_same)
    except DAMAGE as damage:
        raise IndexDamaged(f"{what}: not a tarball: {damage}") from damage


def _same(name: str) -> str:
    return "" if name == "." else name


def _without_top(found: Iterable[Member]) -> list[Member]:
    """Without the one folder that most tarballs have at their top."""
    every = list(found)
    tops = {member.name.partition("/")[0] for member in every}
    if len(tops) != 1 or any(member.kind is not Kind.FOLDER and "/" not in member.name for member in every):
        return every
    return [replace(member, name=member.name.partition("/")[2]) for member in every if "/" in member.name]


def _dkms_members(package: Package, downloads: Downloads) -> list[Member]:
    """The folder below /usr/src that has a dkms.conf; that is where DKMS looks (dkms(8))."""
    content = downloads.get(package.url, limit=package.size, sha256=package.sha256)
    found = list(package_members(package, content, place=lambda name: (_USR_SRC.fullmatch(name) or ("", ""))[1]))
    tops = [posixpath.dirname(member.name) for member in found if re.fullmatch(r"[^/]+/dkms\.conf", member.name)]
    if len(tops) != 1:
        raise BuildImpossible(
            f"{package.name} {package.version}: {len(tops)} folders with a dkms.conf below /usr/src, not one",
            hint="is it a -dkms package?",
        )
    top = f"{tops[0]}/"
    return [replace(member, name=member.name.removeprefix(top)) for member in found if member.name.startswith(top)]
