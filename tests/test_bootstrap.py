from pathlib import Path

import pytest
from kmodci.bootstrap import SuiteSource, bootstrap, command, extract, lacks
from kmodci.errors import EngineError
from kmodci.images import natively, recipe, worker
from kmodci.model import BUILD_ARCH

RECIPE = recipe("gcc-12", distro="debian", series="bookworm")
SOURCE = SuiteSource(url="http://mirror.example/debian", suite="bookworm", keyring=Path("/keys.gpg"))


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program in mmdebstrap's place: what it says and leaves behind is all that `bootstrap` sees of it."""
    folder.mkdir()
    program = folder / "mmdebstrap"
    program.write_text(f"#!/bin/bash\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_sources_as_apt_reads_them() -> None:
    assert SOURCE.apt_line() == "deb [signed-by=/keys.gpg] http://mirror.example/debian bookworm main"
    lagging = SuiteSource(
        url="http://m", suite="sid", components=("main", "contrib"), keyring=Path("/k"), check_valid_until=False
    )
    assert lagging.apt_line() == "deb [signed-by=/k check-valid-until=no] http://m sid main contrib"


def test_the_command_asks_for_the_recipe() -> None:
    line = command(RECIPE, [SOURCE], Path("/tmp/root.tar.zst"))
    assert f"--include={','.join(RECIPE.packages)}" in line
    assert [f"--dpkgopt=path-exclude={pattern}" for pattern in RECIPE.excluded] == [
        word for word in line if word.startswith("--dpkgopt=path-exclude")
    ]
    assert line[-3:] == ["bookworm", "/tmp/root.tar.zst", SOURCE.apt_line()]


def test_another_architecture_is_made_of_its_own_packages() -> None:
    line = command(natively(RECIPE, "arm64"), [SOURCE], Path("/tmp/root.tar.zst"))
    assert "--architectures=arm64" in line
    assert not any("gcc-cross" in word for word in line), "there is none to strip"
    assert any("gcc-cross" in word for word in command(RECIPE, [SOURCE], Path("/tmp/root.tar.zst")))


def test_packages_that_are_but_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(tmp_path / "bin", monkeypatch, 'echo "$@" > "${@: -2:1}"')
    made = worker("arm64", [("debian", "bookworm")])
    assert made
    said = extract(made, mirrors=[SOURCE], target=tmp_path / "packages.tar").read_text()
    assert said.startswith("--mode=chrootless --variant=extract --architectures=arm64 --include=python3 ")
    assert "hook" not in said


def test_what_emulates_is_told_where_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(tmp_path / "bin", monkeypatch, "exit 25")
    (tmp_path / "bin" / "arch-test").symlink_to("/bin/false")
    for made, hint in ((natively(RECIPE, "arm64"), "qemu-user-static"), (RECIPE, "a suite that lags")):
        with pytest.raises(EngineError) as caught:
            bootstrap(made, mirrors=[SOURCE], target=tmp_path / "x.tar.zst", log=lambda _: None)
        assert hint in caught.value.hint
    (tmp_path / "bin" / "arch-test").unlink()
    (tmp_path / "bin" / "arch-test").symlink_to("/bin/true")
    with pytest.raises(EngineError) as caught:
        bootstrap(natively(RECIPE, "arm64"), mirrors=[SOURCE], target=tmp_path / "x.tar.zst", log=lambda _: None)
    assert "qemu" not in caught.value.hint


def test_the_archive_appears_when_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the archive is the last argument but one here
    put_on_path(tmp_path / "bin", monkeypatch, 'echo "I: working" >&2; echo made > "${@: -2:1}"; ls -A images')
    monkeypatch.chdir(tmp_path)
    lines: list[str] = []
    target = tmp_path / "images" / "gcc-12.tar.zst"
    assert bootstrap(RECIPE, mirrors=[SOURCE], target=target, log=lines.append) == target
    assert target.read_text() == "made\n"
    assert lines[0] == "I: working"
    assert "gcc-12.tar.zst" not in lines, "not while it is being made"


def test_a_failure_says_the_last_lines_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(tmp_path / "bin", monkeypatch, 'echo half > "${@: -2:1}"; seq 100; echo "E: no such suite" >&2; exit 2')
    with pytest.raises(EngineError, match=r"ended with 2:\n  87\n(.*\n)*  E: no such suite"):
        bootstrap(RECIPE, mirrors=[SOURCE], target=tmp_path / "images" / "x.tar.zst", log=lambda _: None)
    assert not list((tmp_path / "images").iterdir())


def test_a_caller_that_gives_up_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f"trap 'touch {tmp_path}/cleaned; exit 1' TERM; echo going; while :; do sleep 0.05; done"
    put_on_path(tmp_path / "bin", monkeypatch, script)

    def give_up(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bootstrap(RECIPE, mirrors=[SOURCE], target=tmp_path / "x.tar.zst", log=give_up)
    assert (tmp_path / "cleaned").exists()


def test_without_mmdebstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="apt-get install mmdebstrap"):
        bootstrap(RECIPE, mirrors=[SOURCE], target=tmp_path / "x.tar.zst", log=lambda _: None)


def test_what_a_machine_lacks_for_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "mmdebstrap" in lacks(BUILD_ARCH)
    (tmp_path / "mmdebstrap").symlink_to("/bin/true")
    assert lacks(BUILD_ARCH) == ""
    assert "qemu-user-static" in lacks("arm64")
    (tmp_path / "arch-test").symlink_to("/bin/true")
    assert lacks("arm64") == ""
