"""The board, and what the farm answers from it to who needs a module now."""

from dataclasses import replace

import pytest
from kmodci.board import Board
from kmodci.errors import NotFound
from kmodci.model import BuildId, Status, Target
from kmodci.ondemand import OUTSIDE, Answer, Question, answer, parse_id
from kmodci.release import BadName
from kmodci.schema import KnownFailure, Scope
from support.boards import board, outcome, published_of
from support.kernels import kernels

RELEASE = "6.1.0-50-amd64"
NAME = f"loop/debian-bookworm-amd64/{RELEASE}"
BOOKWORM = Target(distro="debian", series="bookworm", arch="amd64")


def ask(
    of: Board, *, target: Target = BOOKWORM, release: str = RELEASE, module: str = "loop", version: str = ""
) -> Answer:
    return answer(Question(module=module, target=target, release=release, version=version), of, ["loop", "scap"])


def test_the_recorded_kernels_have_the_one_that_is_asked_for() -> None:
    assert f"{BOOKWORM}/{RELEASE}" in {str(kernel) for kernel in kernels()}


def test_what_is_built_is_answered_with_what_is_published() -> None:
    found = ask(board(Status.BUILT))
    assert found.is_built and found.entry is not None and not found.is_coming
    assert (found.state, found.reason, found.version) == ("built", "", "1.0")
    assert found.entry.release == RELEASE


def test_a_node_of_another_series_finds_the_kernel_that_it_runs() -> None:
    """Where a distribution's kernels are not told apart by series, a backport is one for both."""
    found = ask(board(Status.BUILT), target=replace(BOOKWORM, series="trixie"))
    assert found.build_id == BuildId.parse(NAME)


def test_what_is_to_be_built_has_its_place_in_the_queue_and_what_it_waits_for() -> None:
    of = board(queue={NAME: 7}, waiting={NAME: "no image for gcc-12: the mirror is away"})
    found = ask(of)
    assert (found.state, found.place, found.is_coming) == ("pending", 7, True)
    assert "the mirror is away" in found.reason
    assert found.planned is not None and found.planned.toolchain == "gcc-12"


def test_what_runs_says_so_whatever_was_before() -> None:
    found = ask(board(Status.FAILED, running={NAME: "http://127.0.0.1:8010/#/builders/1/builds/2"}))
    assert (found.state, found.is_coming) == ("running", True)


@pytest.mark.parametrize("status", [Status.FAILED, Status.UNAVAILABLE, Status.SKIPPED])
def test_what_is_not_built_says_why(status: Status) -> None:
    found = ask(board({NAME: (status, "loop.c:1: error: no")}))
    assert (found.state, found.reason, found.is_coming) == (status, "loop.c:1: error: no", False)


def test_what_is_not_to_be_built_says_so() -> None:
    failure = KnownFailure(builds="loop/*/6.1.*", reason="needs 6.6")
    assert ask(board(failures=[failure])).reason == "needs 6.6"
    outside = ask(board(scope=Scope(kernels=("debian-sid-amd64/*",))))
    assert (outside.state, outside.planned) == (OUTSIDE, None) and "scope" in outside.reason


def test_an_older_version_that_is_published_is_still_there() -> None:
    of = board({NAME: (Status.FAILED, "error")})
    entry = of.standings[NAME].entry
    of = replace(of, published={("loop", version): {NAME: published_of(entry, version)} for version in ("0.9", "0.10")})
    assert ask(of).others == ("0.10", "0.9")
    older = ask(of, version="0.9")
    assert older.is_built and older.version == "0.9" and older.entry is not None and older.entry.version == "0.9"
    with pytest.raises(NotFound) as refused:
        ask(of, version="0.8")
    assert "0.10, 0.9" in refused.value.hint and "1.0" in refused.value.hint


def test_what_the_index_does_not_have_yet_is_not_called_built() -> None:
    of = replace(board(Status.BUILT), published={})
    assert (ask(of).state, ask(of).entry) == ("pending", None)


def test_the_unknown_is_told_with_the_nearest() -> None:
    of = board()
    with pytest.raises(NotFound) as refused:
        ask(of, release="6.1.0-5O-amd64")
    assert refused.value.hint.count("debian-bookworm-amd64/6.1.0-5") == 4
    with pytest.raises(NotFound, match="no module 'lop'"):
        ask(of, module="lop")
    with pytest.raises(NotFound):
        ask(of, target=Target(distro="fedora", series="43", arch="amd64"))


def test_a_question_has_one_id_and_the_id_is_the_question() -> None:
    found = ask(board(Status.BUILT))
    assert found.id == f"loop,1.0,debian-bookworm-amd64,{RELEASE}"
    question = parse_id(found.id)
    assert answer(question, board(), ["loop"]).id == found.id
    unread = replace(board(), versions={})
    assert answer(parse_id(ask(unread).id), unread, ["loop"]).state == "pending"


@pytest.mark.parametrize(
    "text",
    ["", "loop", "loop,1.0,debian-bookworm-amd64,../x", f"loop,1.0,debian,{RELEASE}", ",,,", "a,b,c,d,e", "x" * 10_000],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        parse_id(text)


def test_what_ends_changes_the_next_board_and_not_this_one() -> None:
    before = board()
    standing = before.standings[NAME]
    ended = outcome(standing.entry, before.keys[NAME], Status.FAILED, "error")
    after = before.with_outcomes([ended])
    assert (before.state(NAME), after.state(NAME)) == ("pending", "failed")
    assert list(before.standings) == list(after.standings)
    assert after.tally[Status.FAILED] == 1 and after.tallies["loop"].total == len(after.standings)
    # of other inputs than the present ones
    old = replace(ended, key="other")
    assert before.with_outcomes([old]).state(NAME) == "pending"


def test_what_is_known_of_the_kernels_is_not_found_out_again_while_they_are_the_same() -> None:
    before = board()
    found = (before.places, before.releases, before.targets)
    after = replace(before, made=5.0).after(before)
    assert all(one is other for one, other in zip(found, (after.places, after.releases, after.targets), strict=True))
    assert BOOKWORM in after.targets and RELEASE in after.releases["debian/amd64"]
    fewer = replace(before, kernels={}).after(before)
    assert (fewer.places, fewer.releases, fewer.targets) == ({}, {}, ())


def test_modules_are_counted_by_themselves() -> None:
    of = board({NAME: (Status.BUILT, "")}, modules=("loop", "scap"))
    assert {name: each[Status.BUILT] for name, each in of.tallies.items()} == {"loop": 1, "scap": 0}
    assert of.modules == ("loop", "scap")
    assert of.entry(NAME) is not None and of.entry(NAME.replace("loop", "scap")) is None
