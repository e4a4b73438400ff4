"""What a shell offers: asked as click's own scripts ask, and by bash itself."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kmodci.cli.completing import complete_builds, stems
from kmodci.cli.explain import explain
from kmodci.runs import Run as ARun
from kmodci.runstore import RunStore
from support.apifarm import BUILD, ApiFarm, Reply
from support.remembered import BUILT, remember

Run = Callable[..., tuple[int, str, str]]
Complete = Callable[..., list[str]]
ID = "2026-11-23-231500"


@pytest.fixture
def complete(run: Run, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """What is offered for the last word."""

    def offered(*words: str) -> list[str]:
        monkeypatch.setenv("_KMODCI_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", shlex.join(["kmodci", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        status, out, err = run()
        assert (status, err) == (0, "")
        return [line.partition(",")[2] for line in out.splitlines() if line]

    return offered


def test_commands_and_options(complete: Complete) -> None:
    assert complete("co") == ["coverage", "completion"]
    assert "--follow" in complete("build", "--")
    assert complete("completion", "") == ["bash", "zsh", "fish"]


def test_names_of_what_is_remembered(complete: Complete, config: Path) -> None:
    store = remember(config)
    assert complete("explain", BUILT[:-2]) == [BUILT]
    # as far as they differ, where there are many
    targets = {str(kernel.target) for kernel in store.kernels().values()}
    assert sorted(complete("build", "v4")) == sorted(f"v4l2loopback/{target}/" for target in targets)
    assert len(complete("coverage", "scap/debian-sid-amd64/")) == 6
    assert complete("kernels", "debian-sid-amd64/7.3-rt") == ["debian-sid-amd64/7.3-rt-amd64"]
    assert complete("plan", "--scope", "f") == ["first-look"]
    RunStore(store).put_run(ARun(id=ID, started=1.0), [])
    for command in ("runs", "watch", "bench"):
        assert complete(command, "2026") == [ID]


def test_where_nothing_is_there_nothing_is_offered(complete: Complete, config: Path) -> None:
    assert complete("explain", "v4") == []
    assert complete("watch", "") == []
    (config / "kmodci.yml").write_text("wbe: {")
    assert complete("explain", "v4") == []
    assert complete("plan", "--scope", "") == []


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[ApiFarm]:
    with ApiFarm(tmp_path) as farm:
        farm.tell("GET coverage/builds", Reply(200, {"builds": [{"build_id": BUILD, "status": "built"}]}))
        yield farm


def test_names_of_a_farm_that_is_asked(complete: Complete, farm: ApiFarm, config: Path) -> None:
    remember(config)
    assert complete("explain", "--server", farm.url, "") == [BUILD]
    assert complete("explain", "loop") == []
    assert len(farm.heard) == 1
    # it has no runs to tell, or is not there
    assert complete("runs", "--server", farm.url, "") == []
    assert complete("runs", "--server", "http://127.0.0.1:9", "") == []
    assert complete("runs", "--server", "nonsense", "") == []


def test_words_come_before_the_environment(
    complete: Complete, farm: ApiFarm, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(config)
    monkeypatch.setenv("KMODCI_SERVER", farm.url)
    # KMODCI_CONFIG is set as well
    assert complete("explain", BUILT[:-2]) == [BUILT]
    assert complete("explain", "--config", str(config), BUILT[:-2]) == [BUILT]
    assert farm.heard == []
    assert complete("explain", "--server", farm.url, "loop") == [BUILD]
    monkeypatch.delenv("KMODCI_CONFIG")
    of_words = explain.make_context("explain", ["--config", str(config), "x"], resilient_parsing=True)
    assert [each.value for each in complete_builds(of_words, explain.params[0], BUILT[:-2])] == [BUILT]
    of_environment = explain.make_context("explain", ["x"], resilient_parsing=True)
    assert [each.value for each in complete_builds(of_environment, explain.params[0], "")] == [BUILD]
    assert len(farm.heard) == 2


def test_one_stem_alone_is_never_offered() -> None:
    names = [f"loop/debian-sid-amd64/7.{number}-amd64" for number in range(100)]
    assert stems(names, "lo") == names
    two = [*names, *(name.replace("sid", "forky") for name in names)]
    assert stems(two, "") == ["loop/debian-sid-amd64/", "loop/debian-forky-amd64/"]
    assert stems(two, "loop/debian-s") == names
    assert stems(two, "x") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script(run: Run, shell: str) -> None:
    status, out, err = run("completion", shell)
    assert (status, err) == (0, "")
    assert f"_KMODCI_COMPLETE={shell}_complete" in out
    assert run("completion", "csh")[0] == 2


_ASK = """\
set -e
source <(kmodci completion bash)
COMP_WORDS=(kmodci {words}); COMP_CWORD={number}
_kmodci_completion kmodci
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.slow
def test_bash(config: Path) -> None:
    remember(config)
    environment = {
        **os.environ,
        "KMODCI_CONFIG": str(config),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }

    def offered(*words: str) -> list[str]:
        script = _ASK.format(words=shlex.join(words), number=len(words))
        done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
        # `complete` says so in a shell that nobody types in
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    assert offered("expl") == ["explain"]
    assert offered("explain", BUILT[:-2]) == [BUILT]
    plus = "v4l2loopback/debian-forky-amd64/7."
    assert all(name.startswith(plus) and "+" in name for name in offered("build", plus))
