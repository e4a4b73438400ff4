"""A Python of another architecture than the machine's, out of a distribution's packages, none of which is run."""

import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path, PurePosixPath

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from .elf import DAMAGE
from .errors import EngineError

_INTERPRETER = re.compile(r"usr/bin/(python3\.[0-9]+)")
_LIBRARY = re.compile(r"(?:usr/)?lib/(?:[a-z0-9_]+-linux-gnu/)?[^/]+\.so(?:\.[^/]*)?")
_LOADER = re.compile(r"ld-linux[^/]*")
# a link leads to a link, to a file; not for ever
_MOST_LINKS = 8
_MOST_NEEDED = 100


def unpack_python(archive: Path, root: Path, *, is_wanted: Callable[[tuple[str, ...]], bool]) -> str:
    """What a worker bundle has of Python: `bin/python3`, its library, and `lib64` with what they are linked with.

    archive: a tar of packages as they are installed; is_wanted: asked for the parts of each name in the library.
    Returns the version (`3.11`). Raises EngineError for packages that are not what they should be.
    """
    try:
        with tarfile.open(archive, mode="r:") as tar:
            return _Packages(tar, {member.name.removeprefix("./"): member for member in tar}).write(root, is_wanted)
    except (tarfile.TarError, *DAMAGE) as damage:
        raise EngineError(f"no Python can be made of the packages in {archive.name}: {damage}") from damage


@dataclass(frozen=True, slots=True)
class _Packages:
    tar: tarfile.TarFile
    members: dict[str, tarfile.TarInfo]

    def write(self, root: Path, is_wanted: Callable[[tuple[str, ...]], bool]) -> str:
        name = next((found[1] for each in self.members if (found := _INTERPRETER.fullmatch(each))), "")
        if not name:
            raise EngineError("there is no python3 in the packages of python3")
        interpreter = self._content(f"usr/bin/{name}")
        _put(root / "bin" / "python3", interpreter, runs=True)
        linked = [interpreter, *self._library(root, name, is_wanted)]
        libraries = self._libraries(linked)
        for each, content in libraries.items():
            _put(root / "lib64" / each, content)
        loaders = [each for each in self.members if _LOADER.fullmatch(PurePosixPath(each).name)]
        if not loaders:
            raise EngineError("there is no loader in the packages of python3")
        _put(root / "lib64" / "ld.so", self._content(min(loaders)), runs=True)
        return name.removeprefix("python")

    def _library(self, root: Path, name: str, is_wanted: Callable[[tuple[str, ...]], bool]) -> Iterator[bytes]:
        """Writes Python's own modules. Yields those that are compiled."""
        folder = f"usr/lib/{name}/"
        for path, member in self.members.items():
            parts = PurePosixPath(path.removeprefix(folder)).parts
            if not path.startswith(folder) or not member.isfile() or ".." in parts or not is_wanted(parts):
                continue
            content = self._content(path)
            _put(root / "lib" / name / Path(*parts), content)
            if path.endswith(".so"):
                yield content

    def _libraries(self, linked: list[bytes]) -> dict[str, bytes]:
        """By name, what all of these need, and what that needs in turn; but for the loader."""
        places = {PurePosixPath(each).name: each for each in self.members if _LIBRARY.fullmatch(each)}
        found: dict[str, bytes] = {}
        while linked:
            for name in _needed(linked.pop()):
                if name in found or _LOADER.fullmatch(name):
                    continue
                if name not in places:
                    raise EngineError(f"there is no {name} in the packages of python3, nor in what they depend on")
                found[name] = self._content(places[name])
                linked.append(found[name])
        return found

    def _content(self, name: str) -> bytes:
        """Of a file, or of what a link leads to."""
        for _ in range(_MOST_LINKS):
            member = self.members.get(name)
            file = self.tar.extractfile(member) if member and member.isfile() else None
            if file is not None:
                return file.read()
            if member is None or not member.issym():
                break
            name = _normal(PurePosixPath("/", name).parent / member.linkname)
        raise EngineError(f"{name} is no file in the packages of python3")


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts[1:]:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return "/".join(parts)


def _needed(content: bytes) -> list[str]:
    """The names of the libraries that a program or a library is linked with."""
    sections = ELFFile(BytesIO(content)).iter_sections()
    dynamic = (each for each in sections if isinstance(each, DynamicSection))
    return [str(tag.needed) for each in dynamic for tag in islice(each.iter_tags("DT_NEEDED"), _MOST_NEEDED)]


def _put(path: Path, content: bytes, *, runs: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755 if runs else 0o644)
