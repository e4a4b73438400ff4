"""A master that has its toolchain images made by another process, over a socket."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from kmodci.bootstrap import SuiteSource
from kmodci.errors import EngineError
from kmodci.imagemaker import Remote, serve
from kmodci.images import Recipe, for_preparing, natively, recipe

RECIPE = recipe("gcc-12", distro="debian", series="bookworm")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SOURCE = SuiteSource(url="http://mirror.example/debian", suite="bookworm", keyring=KEYRING, check_valid_until=False)


class Maker:
    """In place of mmdebstrap: what it was asked for, and what it does."""

    def __init__(self) -> None:
        self.asked: list[tuple[Recipe, Sequence[SuiteSource]]] = []
        self.lines = ["I: working", "x" * 100_000]
        self.fault: EngineError | None = None
        self.left = threading.Event()

    def __call__(
        self, recipe: Recipe, *, mirrors: Sequence[SuiteSource], target: Path, log: Callable[[str], None]
    ) -> Path:
        self.asked.append((recipe, mirrors))
        try:
            for line in self.lines:
                log(line)
        except OSError:
            self.left.set()
            raise
        if self.fault:
            raise self.fault
        target.write_bytes(b"archive" * 1_000_000)
        return target


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def path(tmp_path: Path, maker: Maker, said: list[str]) -> Iterator[Path]:
    place = tmp_path / "images.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        listening.listen()

        def run() -> None:
            with suppress(OSError):
                serve(listening, said.append, maker)

        # it ends with the socket
        threading.Thread(target=run, daemon=True).start()
        yield place


@pytest.mark.parametrize(
    "made",
    [RECIPE, for_preparing(RECIPE), natively(RECIPE, "arm64"), for_preparing(natively(RECIPE, "arm64"))],
    ids=["build", "prepare", "native", "native-prepare"],
)
def test_an_image_comes_over_the_socket(tmp_path: Path, path: Path, maker: Maker, made: Recipe) -> None:
    lines: list[str] = []
    target = tmp_path / "images" / "x.tar.zst"
    assert Remote(path)(made, mirrors=[SOURCE], target=target, log=lines.append) == target
    assert target.read_bytes() == b"archive" * 1_000_000
    assert maker.asked == [(made, [SOURCE])]
    assert (lines[0], len(lines[1])) == ("I: working", 4000)
    assert [each.name for each in target.parent.iterdir()] == ["x.tar.zst"]


def test_what_went_wrong_there_is_told_here(tmp_path: Path, path: Path, maker: Maker) -> None:
    maker.fault = EngineError("mmdebstrap ended with 2", hint="a mirror lags")
    with pytest.raises(EngineError, match="ended with 2") as caught:
        Remote(path)(RECIPE, mirrors=[SOURCE], target=tmp_path / "x.tar.zst", log=lambda _: None)
    assert caught.value.hint == "a mirror lags"
    assert not (tmp_path / "x.tar.zst").exists()
    maker.fault = None
    assert Remote(path)(RECIPE, mirrors=[SOURCE], target=tmp_path / "x.tar.zst", log=lambda _: None).exists()


def test_another_recipe_is_not_made(tmp_path: Path, path: Path, maker: Maker) -> None:
    with pytest.raises(EngineError, match="has another recipe here"):
        other = replace(RECIPE, packages=("gcc-12", "sl"))
        Remote(path)(other, mirrors=[SOURCE], target=tmp_path / "x.tar.zst", log=lambda _: None)
    assert maker.asked == []


@pytest.mark.parametrize(
    "change",
    [
        {"toolchain": "gcc-12 --hook=x"},
        {"series": "--customize-hook=reboot"},
        {"kind": "other"},
        {"arch": "m68k"},
        {"more": 1},
        {"suites": []},
        {"suites": [{"url": "copy:///etc", "suite": "x", "components": ["main"], "keyring": str(KEYRING)}]},
        {"keyring": "/etc/shadow"},
        {"keyring": "/etc/kmodci/../shadow"},
        {"suite": "bookworm\ndeb http://evil"},
        {"url": "http://m x]"},
    ],
)
def test_what_is_no_question_is_refused(path: Path, maker: Maker, said: list[str], change: dict[str, object]) -> None:
    suite = {
        "url": "http://m",
        "suite": "x",
        "components": ["main"],
        "keyring": str(KEYRING),
        "check_valid_until": True,
    }
    suite |= {name: value for name, value in change.items() if name in suite}
    asked: dict[str, object] = {"toolchain": "gcc-12", "kind": "build", "distro": "debian", "arch": "amd64"}
    asked |= {"series": "bookworm", "digest": RECIPE.digest, "suites": [suite]}
    asked |= {name: value for name, value in change.items() if name not in suite}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(json.dumps(asked).encode() + b"\n")
        answer = json.loads(connection.makefile().read())
    assert answer["error"] == "that is no question for an image"
    assert maker.asked == []
    assert said and "mistakes in a question" in said[-1]


def test_who_leaves_ends_it(path: Path, maker: Maker, tmp_path: Path) -> None:
    maker.lines = ["x" * 4000] * 10_000

    def leave(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Remote(path)(RECIPE, mirrors=[SOURCE], target=tmp_path / "x.tar.zst", log=leave)
    assert maker.left.wait(30)
    maker.lines = []
    assert Remote(path)(RECIPE, mirrors=[SOURCE], target=tmp_path / "x.tar.zst", log=lambda _: None).exists()


def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"could not be made at .*no\.sock") as caught:
        Remote(tmp_path / "no.sock")(RECIPE, mirrors=[SOURCE], target=tmp_path / "x.tar.zst", log=lambda _: None)
    assert "serve-images" in caught.value.hint
