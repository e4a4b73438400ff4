"""A folder of this machine as the source of a module."""

import hashlib
import json
import os
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path

from .errors import BuildImpossible
from .tarzst import Kind, Member


def folder_members(folder: Path) -> Iterator[Member]:
    """Raises BuildImpossible for what cannot be read, or is neither file, folder nor a link within."""
    if not folder.is_dir():
        raise BuildImpossible(f"{folder}: no such folder")
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] == ".git":
            continue
        try:
            yield _folder_member(path, name)
        except OSError as error:
            raise BuildImpossible(f"{path}: {error.strerror}") from error


def _folder_member(path: Path, name: str) -> Member:
    if path.is_symlink():
        target = str(path.readlink())
        goal = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        if goal.startswith(("/", "..")):
            raise BuildImpossible(f"{path}: is a link out of the folder, to {target!r}")
        return Member(name=name, kind=Kind.LINK, target=target)
    if path.is_dir():
        return Member(name=name, kind=Kind.FOLDER)
    if not path.is_file():
        raise BuildImpossible(f"{path}: is neither file, folder nor link")
    return Member(name=name, data=path.read_bytes(), executable=os.access(path, os.X_OK))


def digest_of(found: Iterable[Member]) -> str:
    """Names a source by its content."""
    digest = hashlib.sha256()
    for member in found:
        data = hashlib.sha256(member.data).hexdigest()
        digest.update(json.dumps([member.name, member.kind.name, member.executable, member.target, data]).encode())
    return digest.hexdigest()
