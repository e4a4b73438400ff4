"""The command line against a farm that runs: builds that are asked for and followed, and a run that is watched."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo
from support.farm import Command, LiveFarm, free_ports, live_farm, source

# seconds; builds of others may have the machine's cores
_LONG = 300

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(600)]

SHUT = "the gate is shut"
_BUILD = f'echo "{SHUT}"; until [ -e /in/go ]; do sleep 0.1; done; make -C "$KERNEL_DIR" M="$PWD" modules'


@pytest.fixture(scope="module")
def farm(folder: Path, repo: AptRepo, publish: Callable[..., None]) -> Iterator[LiveFarm]:
    """For all of these tests, in their order. One module's builds wait to be let go, after they have said so."""
    publish(repo, "old", "old-cloud")
    only = {"kernels": {"include": ["*/*-cloud-amd64"]}}
    modules = {
        "broken": source("broken", **only),
        "gated": source("hello", build=_BUILD, artifacts=["hello.ko"], **only),
        "hello": source("hello"),
    }
    with live_farm(folder, repo, modules) as made:
        made.up()
        made.until(lambda: any(name.startswith("broken/") for name in made.store.outcomes()), seconds=_LONG)
        yield made


@pytest.fixture(scope="module")
def token(farm: LiveFarm) -> Path:
    """Of one who may build."""
    made = farm.kmodci("token", "add", "ci")
    assert made.end() == 0
    path = farm.folder / "token"
    path.touch(mode=0o600)
    path.write_text(made.said.splitlines()[0])
    return path


def name_of(farm: LiveFarm, module: str) -> str:
    """The build id of a module's only build."""
    run = farm.runs.runs()[-1]
    return next(str(e.build_id) for e in farm.runs.entries(run.id) if e.build_id.module == module)


def asked(farm: LiveFarm, *arguments: str, token: Path | None = None) -> Command:
    """A command that asks the farm, and has no files of it."""
    secret = ("--token-file", str(token)) if token else ()
    return farm.kmodci(*arguments, "--server", f"{farm.url}/", *secret, has_files=False)


def test_a_run_is_watched_to_its_end(farm: LiveFarm) -> None:
    farm.await_running(1)
    run = farm.runs.runs()[-1]
    of_farm = asked(farm, "watch")
    as_json = asked(farm, "watch", run.id, "--json")
    of_files = farm.kmodci("watch")
    name = name_of(farm, "broken")
    for command in (of_farm, of_files):
        command.await_words(f"failed {name}: ")
    farm.until(lambda: as_json.said.count("\n") >= 1)
    assert of_farm.running and of_files.running
    farm.open_gates()
    # one of four builds has failed
    assert [command.end(seconds=_LONG) for command in (of_farm, as_json, of_files)] == [1, 1, 1]
    lines = [json.loads(line) for line in as_json.said.splitlines()]
    last = lines[-1]
    assert (last["planned"], last["built"], last["failed"], last["left"]) == (4, 3, 1, 0)
    assert [each["build_id"] for line in lines for each in line["not_built"]] == [name]
    for command in (of_farm, of_files):
        assert "  ended      3 built, 1 failed" in command.said.splitlines()
        assert f"(as {name})" in command.said.splitlines()[-1]
    assert asked(farm, "watch").end() == 0


def test_a_farm_and_its_files_tell_the_same(farm: LiveFarm) -> None:
    for arguments in (("coverage", "--json"), ("coverage",), ("runs", "--json"), ("kernels", "*-test-*")):
        of_farm, of_files = asked(farm, *arguments), farm.kmodci(*arguments)
        assert (of_farm.end(), of_files.end()) == (0, 0), of_farm.said
        assert of_farm.said == of_files.said
    name = name_of(farm, "hello")
    told = asked(farm, "explain", name, "--json")
    assert told.end() == 0
    found = json.loads(told.said)
    assert (found["build_id"], found["status"]) == (name, "built")
    listed = asked(farm, "explain", name.rpartition("/")[2])
    assert listed.end() == 0
    assert name in listed.said
    sources = asked(farm, "kernels", "--sources", "--json")
    assert sources.end() == 0
    assert {each["health"] for each in json.loads(sources.said)["sources"]} == {"good", "idle"}


def test_the_log_of_a_build_is_followed_while_it_runs(farm: LiveFarm, token: Path) -> None:
    name = name_of(farm, "gated")
    before = farm.outcome(name)
    command = asked(farm, "build", name, "--rebuild", "--follow", token=token)
    command.await_words(f"\n{SHUT}\n", seconds=_LONG)
    assert command.running
    assert farm.outcome(name) == before
    farm.open_gates()
    assert command.end(seconds=_LONG) == 0, command.said
    after = farm.outcome(name)
    assert after and before and after.finished > before.finished
    assert f"{name}: built\n" in command.said
    assert command.said.count(f"\n{SHUT}\n") == 1
    assert "hello.ko" in command.said


def test_a_build_that_fails(farm: LiveFarm, token: Path) -> None:
    name = name_of(farm, "broken")
    told = asked(farm, "build", name, token=token)
    assert told.end() == 1
    assert f"{name}: failed, " in told.said
    cause = farm.outcome(name)
    assert cause is not None
    command = asked(farm, "build", name, "--rebuild", "--follow", token=token)
    assert command.end(seconds=_LONG) == 1, command.said
    again = farm.outcome(name)
    assert again and again.finished > cause.finished
    assert re.search(r"^.*: error: .*$", command.said, re.M)
    assert f"{name}: failed, " in command.said


def test_ctrl_c_leaves_the_build_to_the_farm(farm: LiveFarm, token: Path) -> None:
    name = name_of(farm, "gated")
    before = farm.outcome(name)
    assert before is not None
    command = asked(farm, "build", name, "--rebuild", "--follow", token=token)
    command.await_words(f"\n{SHUT}\n", seconds=_LONG)
    command.send(signal.SIGINT)
    assert command.end() == 130
    assert f"kmodci build {name} --follow --server {farm.url}/" in command.said
    # it is followed again, from the beginning of its log, by somebody without a token
    other = asked(farm, "build", name, "--follow")
    other.await_words(f"\n{SHUT}\n", seconds=_LONG)
    limited = asked(farm, "build", name, "--wait", "1s")
    assert limited.end() == 3
    assert "has not ended within 1s" in limited.said
    farm.open_gates()
    assert other.end(seconds=_LONG) == 0, other.said
    farm.await_built(name, after=before.finished)


def test_who_may_not_and_who_is_not_there(farm: LiveFarm, token: Path, tmp_path: Path) -> None:
    name = name_of(farm, "hello")
    nobody = asked(farm, "build", name, "--rebuild")
    assert nobody.end() == 2
    assert "takes a token" in nobody.said and "--token-file FILE" in nobody.said
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("kmodci_" + "x" * 43)
    stranger = asked(farm, "build", name, token=wrong)
    assert stranger.end() == 2
    assert "the farm does not know this token" in stranger.said
    wrong.chmod(0o644)
    open_to_all = asked(farm, "coverage", token=wrong)
    assert open_to_all.end() == 1
    assert "others may read it" in open_to_all.said
    away = farm.kmodci("coverage", "--server", f"http://127.0.0.1:{free_ports()}/", has_files=False)
    assert away.end() == 3
    assert "does not answer" in away.said
    missing = asked(farm, "build", name.replace("hello", "hallo"), "--follow", token=token)
    assert missing.end() == 2
    assert "did you mean 'hello'?" in missing.said
    # and nothing of a token is in what the farm has logged
    assert token.read_text() not in farm.log
