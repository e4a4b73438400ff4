"""Toolchain images made by another process: one that may be root and chroot, where the farm's master may do neither.

A master asks at a unix socket with one line of JSON, which names a recipe and does not spell it out; what is made of
it is decided on the other side. It is told what mmdebstrap says, line by line, and then gets the archive.
"""

import json
import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .bootstrap import SuiteSource, bootstrap
from .errors import EngineError, KmodciError
from .fields import Name, Url, fitting
from .images import Recipe, for_preparing, natively, recipe

_LINE_LIMIT = 64 << 10
_PIECE = 1 << 20
# seconds that one side waits for the other: another image may be made first
_PATIENCE = 3600
_KEYRING = re.compile(r"(/usr/share/keyrings|/etc/kmodci)(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
_TOOLCHAIN = re.compile(r"gcc-[0-9]{1,3}")


class Bootstrap(Protocol):
    """What makes an image: `bootstrap.bootstrap`, or a `Remote`."""

    def __call__(
        self, recipe: Recipe, *, mirrors: Sequence[SuiteSource], target: Path, log: Callable[[str], None]
    ) -> Path: ...


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Suite(_Closed):
    """A `SuiteSource`, of somebody else's."""

    url: Url
    suite: Name
    components: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)]
    keyring: Annotated[str, fitting(_KEYRING, "a keyring below /usr/share/keyrings or /etc/kmodci")]
    check_valid_until: bool

    def source(self) -> SuiteSource:
        return SuiteSource(
            url=self.url,
            suite=self.suite,
            components=self.components,
            keyring=Path(self.keyring),
            check_valid_until=self.check_valid_until,
        )


class _Asked(_Closed):
    """Which image, and where its packages come from."""

    toolchain: Annotated[str, fitting(_TOOLCHAIN, "a toolchain")]
    kind: Literal["build", "prepare"]
    arch: Literal["amd64", "arm64"]
    distro: Name
    series: Name
    digest: str
    """of the recipe, as the master knows it"""
    suites: Annotated[tuple[_Suite, ...], Field(min_length=1, max_length=8)]

    def recipe(self) -> Recipe:
        """Raises KmodciError."""
        made = natively(recipe(self.toolchain, distro=self.distro, series=self.series), self.arch)
        made = for_preparing(made) if self.kind == "prepare" else made
        if made.digest != self.digest:
            raise KmodciError(f"{made.name} has another recipe here", hint="both have to be of one version of kmodci")
        return made


class Remote:
    """What makes images at a socket. Raises EngineError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(
        self, recipe: Recipe, *, mirrors: Sequence[SuiteSource], target: Path, log: Callable[[str], None]
    ) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            TemporaryDirectory(dir=target.parent, prefix=f".{recipe.name}-") as folder,
            socket.socket(socket.AF_UNIX) as connection,
        ):
            archive = Path(folder) / "root.tar.zst"
            connection.settimeout(_PATIENCE)
            try:
                connection.connect(str(self._path))
                connection.sendall(_question(recipe, mirrors))
                with connection.makefile("rb") as answer:
                    _take(answer, archive, log)
            except (OSError, ValueError) as error:
                raise EngineError(
                    f"image {recipe.name} could not be made at {self._path}: {error}",
                    hint="`kmodci serve-images` runs there, and its log says more",
                ) from error
            archive.replace(target)
        return target


def _question(made: Recipe, mirrors: Sequence[SuiteSource]) -> bytes:
    suites = tuple(
        _Suite(
            url=each.url,
            suite=each.suite,
            components=each.components,
            keyring=str(each.keyring),
            check_valid_until=each.check_valid_until,
        )
        for each in mirrors
    )
    kind: Literal["build", "prepare"] = "prepare" if made.name.endswith("-prepare") else "build"
    named = {"toolchain": made.toolchain, "kind": kind, "arch": made.arch, "distro": made.distro, "series": made.series}
    asked = _Asked.model_validate({**named, "digest": made.digest, "suites": suites})
    return asked.model_dump_json().encode() + b"\n"


def _take(answer: IO[bytes], archive: Path, log: Callable[[str], None]) -> None:
    """Raises EngineError with what the other side says, ValueError where that makes no sense."""
    while True:
        match json.loads(answer.readline(_LINE_LIMIT) or b"null"):
            case {"said": str(line)}:
                log(line)
            case {"error": str(brief), "hint": str(hint)}:
                raise EngineError(brief, hint=hint)
            case {"size": int(size)}:
                break
            case _:
                raise ValueError("it has ended without an answer")
    with archive.open("wb") as file:
        while size > 0 and (piece := answer.read(min(size, _PIECE))):
            file.write(piece)
            size -= len(piece)
    if size:
        raise ValueError("it has ended in the middle of the archive")


def serve(listening: socket.socket, say: Callable[[str], None], make: Bootstrap = bootstrap) -> None:
    """Answers one after the other, for ever. say: called with a line for whoever reads the log."""
    while True:
        connection, _ = listening.accept()
        with connection:
            try:
                _answer(connection, say, make)
            except OSError as error:
                say(f"who asked has left: {error}")


def _answer(connection: socket.socket, say: Callable[[str], None], make: Bootstrap) -> None:
    connection.settimeout(_PATIENCE)

    def tell(**what: object) -> None:
        # a line of it is cut before it is too long for who reads it
        connection.sendall(json.dumps(what).encode() + b"\n")

    try:
        with connection.makefile("rb") as lines:
            asked = _Asked.model_validate_json(lines.readline(_LINE_LIMIT))
        made = asked.recipe()
        say(f"making {made.tag}")
        with TemporaryDirectory(prefix="image-") as folder:
            sources = [each.source() for each in asked.suites]
            target = Path(folder) / "image.tar.zst"
            archive = make(made, mirrors=sources, target=target, log=lambda line: tell(said=line[:4000]))
            tell(size=archive.stat().st_size)
            with archive.open("rb") as file:
                connection.sendfile(file)
        say(f"made {made.tag}")
    except ValidationError as error:
        say(f"refused: {error.error_count()} mistakes in a question")
        tell(error="that is no question for an image", hint="; ".join(each["msg"] for each in error.errors())[:1000])
    except KmodciError as error:
        say(f"failed: {error.brief}")
        tell(error=error.brief[:4000], hint=error.hint)
