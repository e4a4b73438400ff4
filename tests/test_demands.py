"""What is done about a question for a module, for each way that a build may stand."""

from dataclasses import replace

import pytest
from kmodci.demands import Demand, decide, why_refused
from kmodci.model import Status, Target
from kmodci.ondemand import Answer, Question, answer
from kmodci.schema import KnownFailure, Scope
from support.boards import board

NAME = "loop/debian-bookworm-amd64/6.1.0-50-amd64"
QUESTION = Question(
    module="loop", target=Target(distro="debian", series="bookworm", arch="amd64"), release="6.1.0-50-amd64"
)
RUNS = board(running={NAME: "http://127.0.0.1/1"})
BOARDS = {
    "built": board(Status.BUILT),
    "running": RUNS,
    "built, and running again": board(Status.BUILT, running={NAME: "http://127.0.0.1/1"}),
    "queued": board(queue={NAME: 4}),
    "waiting": board(waiting={NAME: "cancelled"}),
    "failed": board({NAME: (Status.FAILED, "error")}),
    "unavailable": board({NAME: (Status.UNAVAILABLE, "gone")}),
    "skipped by its dkms.conf": board({NAME: (Status.SKIPPED, "excluded")}),
    "skipped": board(failures=[KnownFailure(builds="loop/*", reason="no")]),
    "outside": board(scope=Scope(kernels=("debian-sid-amd64/*",))),
    "unread": replace(board(), versions={}),
}


def asked(name: str) -> Answer:
    return answer(QUESTION, BOARDS[name], ["loop"])


@pytest.mark.parametrize(
    ("name", "told", "again"),
    [
        ("built", Demand.BUILT, Demand.BUILD),
        ("running", Demand.COMING, Demand.COMING),
        ("built, and running again", Demand.BUILT, Demand.COMING),
        ("queued", Demand.BUILD, Demand.BUILD),
        ("waiting", Demand.BUILD, Demand.BUILD),
        ("failed", Demand.REFUSE, Demand.BUILD),
        ("unavailable", Demand.REFUSE, Demand.BUILD),
        ("skipped by its dkms.conf", Demand.REFUSE, Demand.REFUSE),
        ("skipped", Demand.REFUSE, Demand.REFUSE),
        ("outside", Demand.REFUSE, Demand.REFUSE),
        ("unread", Demand.UNREAD, Demand.UNREAD),
    ],
)
def test_to_who_may_build(name: str, told: Demand, again: Demand) -> None:
    """again: if a rebuild is asked for."""
    for rebuild, demand in ((False, told), (True, again)):
        assert decide(asked(name), rebuild=rebuild, may_build=True, is_cancelled=False) is demand
        other = decide(asked(name), rebuild=rebuild, may_build=False, is_cancelled=False)
        # who may not is told the same, but where something would have to be done
        expected = {Demand.BUILD: Demand.COMING if name in ("queued", "waiting") else Demand.ASK_WHO}
        assert other is expected.get(demand, demand)


def test_what_was_cancelled_takes_somebody_who_may_until_it_is_asked_for() -> None:
    assert decide(asked("waiting"), rebuild=False, may_build=False, is_cancelled=True) is Demand.ASK_WHO
    assert decide(asked("queued"), rebuild=False, may_build=False, is_cancelled=True) is Demand.COMING


def test_another_version_than_the_sources_is_told_and_not_built_again() -> None:
    older = replace(asked("built"), version="0.9", planned=None, others=("1.0",))
    for may_build in (True, False):
        demands = [decide(older, rebuild=rebuild, may_build=may_build, is_cancelled=False) for rebuild in (False, True)]
        assert demands == [Demand.BUILT, Demand.REFUSE]
    message, hint = why_refused(older)
    assert "0.9" in message and "only the version that its source is at" in message and "rebuild" in hint


@pytest.mark.parametrize("name", ["failed", "unavailable", "skipped", "outside"])
def test_a_refusal_says_why_and_what_to_do(name: str) -> None:
    message, hint = why_refused(replace(asked(name), others=("0.9",)))
    assert NAME in message and name in message and "0.9" in hint and len(hint) > 30
