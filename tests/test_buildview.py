"""What the page of one build tells."""

from dataclasses import replace

import pytest
from kmodci.board import Board
from kmodci.buildview import OUTSIDE, BuildView, index_object, question, shell_words, view
from kmodci.errors import NotFound
from kmodci.explanation import Known, explain
from kmodci.model import BuildId, Hold, Status
from kmodci.schema import KnownFailure, Scope
from support.boards import MODULE, RECIPES, board

RELEASE = "6.1.0-50-amd64"
NAME = f"loop/debian-bookworm-amd64/{RELEASE}"


def seen(
    of: Board, name: str = NAME, version: str = "", *, hold: Hold | None = None, slots: int = 2, for_: float = 0.0
) -> BuildView:
    standing = of.standings.get(name)
    known = Known(
        kernels=of.kernels,
        modules={"loop": MODULE},
        entries=(standing.entry,) if standing else (),
        versions=of.versions,
        outcomes={name: standing.outcome} if standing and standing.outcome else {},
        recipes=RECIPES,
        holds={name: hold} if hold else {},
        now=1_700_000_100.0,
    )
    return view(explain(BuildId.parse(name), known), of, version, slots=slots, running_for=for_)


def test_what_is_built_has_its_files_and_may_be_built_again() -> None:
    found = seen(board({NAME: (Status.BUILT, "")}))
    assert (found.state, found.why, found.version, found.is_current) == ("built", "verified and published", "1.0", True)
    assert found.entry is not None and found.entry.files[0].size == 4321
    assert found.published == ("1.0",) and found.refusal == "" and not found.is_live
    assert found.last is not None and found.url.endswith("#/builders/1/builds/1")


def test_what_failed_says_why() -> None:
    found = seen(board({NAME: (Status.FAILED, "main.c:1: error: no")}))
    assert found.state == "failed" and found.why.startswith("main.c:1: error: no; not tried again")
    assert found.entry is None and found.refusal == ""


def test_what_waits_for_its_turn_has_a_place_and_an_estimate() -> None:
    other = NAME.replace("6.1.0-50", "6.1.0-56")
    of = board({other: (Status.BUILT, "")}, queue={NAME: 4})
    found = seen(of)
    assert (found.state, found.place, found.is_live) == ("pending", 4, True)
    # 12.5 s each, two at once
    assert found.eta == 12.5 * (1 + 3 / 2)
    assert seen(of, slots=8).eta == 12.5 * (1 + 3 / 8)
    assert seen(board(queue={NAME: 4})).eta is None, "nothing was built yet"
    assert seen(board({other: (Status.BUILT, "")})).eta is None, "it is in no queue"


def test_what_runs_cannot_be_asked_for_again() -> None:
    url = "http://127.0.0.1:8010/#/builders/7/builds/1"
    other = NAME.replace("6.1.0-50", "6.1.0-56")
    found = seen(board({other: (Status.BUILT, "")}, running={NAME: url}, queue={NAME: 1}), for_=10.0)
    assert (found.state, found.place, found.url, found.refusal) == ("running", 0, url, "it runs")
    assert found.eta == 2.5


def test_why_it_is_held_is_told_once() -> None:
    of = board(waiting={NAME: "the farm failed it 4 times: no space left"})
    hold = Hold(
        build_id=BuildId.parse(NAME),
        key=of.keys[NAME],
        reason=of.waiting[NAME],
        tries=1,
        noted=1.0,
        until=1_700_000_200.0,
    )
    assert seen(of, hold=hold).why.count("no space left") == 1
    assert "tried again after 2023-11-14" in seen(of, hold=hold).why
    assert seen(board(waiting={NAME: "no image for gcc-12"})).why.endswith("; waits: no image for gcc-12")


def test_what_is_left_out_says_who_does_it() -> None:
    failure = KnownFailure(builds="loop/*", reason="never worked")
    found = seen(board(failures=[failure]))
    assert found.state == "skipped" and "never worked" in found.refusal
    outside = seen(board(scope=Scope(kernels=("debian-sid-amd64/*",))))
    assert outside.state == OUTSIDE and outside.refusal == outside.why != ""
    # dkms.conf may have left it out for now: somebody may try again
    assert seen(board({NAME: (Status.SKIPPED, "excluded")})).refusal == ""


def test_a_module_that_is_not_read_cannot_be_built() -> None:
    found = seen(board(versions={}, keys={}))
    assert found.state == "pending" and found.version == "" and "not read yet" in found.refusal


def test_an_older_version_is_what_is_published_of_it() -> None:
    of = board({NAME: (Status.FAILED, "error")})
    entry = board({NAME: (Status.BUILT, "")}).published["loop", "1.0"][NAME]
    of = replace(of, published={("loop", v): {NAME: entry} for v in ("0.9", "0.10")} | {("other", "1"): {}})
    assert seen(of).published == ("0.10", "0.9")
    found = seen(of, version="0.9")
    assert (found.state, found.is_current, found.entry, found.last) == ("built", False, entry, None)
    assert "another version" in found.why and found.refusal
    with pytest.raises(NotFound, match=r"not published in version 0\.8") as refused:
        seen(of, version="0.8")
    assert "0.10, 0.9" in refused.value.hint


def test_an_address_that_is_none_is_not_shown() -> None:
    of = board({NAME: (Status.FAILED, "error")})
    standing = of.standings[NAME]
    assert standing.outcome is not None
    other = replace(standing, outcome=replace(standing.outcome, build_url="javascript:alert(1)"))
    assert seen(replace(of, standings={**of.standings, NAME: other})).url == ""


def test_how_to_get_it_is_told() -> None:
    found = seen(board({NAME: (Status.BUILT, "")}))
    assert index_object(found) == f"index/loop/1.0/debian/amd64/{RELEASE}.json"
    assert question(found) == {
        "module": "loop",
        "distro": "debian",
        "series": "bookworm",
        "arch": "amd64",
        "kernel_release": RELEASE,
    }
    assert shell_words({"a": "b"}) == '\'{"a": "b"}\''
