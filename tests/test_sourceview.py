from dataclasses import replace
from typing import Any

from kmodci.doubt import Doubt
from kmodci.sourceview import Health, SourceView, plain, views
from kmodci.store import RepositoryState

DOUBT = Doubt(digest="d", what="it lists no kernel", since=50.0, looks=1, last=90.0)


def state(name: str, **more: Any) -> RepositoryState:
    return RepositoryState(**{"name": name, "last_ok": 60.0, "last_try": 90.0, **more})


def seen(*states: RepositoryState, modules: tuple[str, ...] = (), **more: Any) -> tuple[SourceView, ...]:
    known: dict[str, Any] = {"idle": {}, "counts": {}, "versions": {}, "accepted": {}, **more}
    names = {each.name: () for each in states if each.name not in modules}
    return views(names, modules, states={each.name: each for each in states if each.last_try}, **known)


def test_what_wants_a_person_comes_first_and_the_rest_as_it_is_configured() -> None:
    found = seen(
        state("left", error="it was so"),
        state("b"),
        state("a"),
        state("new", last_try=0.0),
        state("down", error="503"),
        state("hello", error="no such branch"),
        state("empty", error="empty: it lists no kernel", doubt=DOUBT),
        modules=("hello",),
        idle={"left": "nobody follows it"},
    )
    assert [(each.name, each.health) for each in found] == [
        ("empty", Health.DOUBTED),
        ("down", Health.FAILING),
        ("hello", Health.FAILING),
        ("new", Health.UNREAD),
        ("b", Health.GOOD),
        ("a", Health.GOOD),
        ("left", Health.IDLE),
    ]


def test_one_that_cannot_be_read_now_is_failing_although_something_is_in_doubt() -> None:
    [view] = seen(state("sid main", error="503", doubt=replace(DOUBT, looks=0)))
    assert view.health is Health.FAILING


def test_a_fault_is_told_without_the_name_again() -> None:
    for error, told in {
        "sid main: it expired": "it expired",
        "sid main at http://m: not signed": "at http://m: not signed",
        "http://m/InRelease: timed out": "http://m/InRelease: timed out",
        "": "",
    }.items():
        [view] = seen(state("sid main", error=error))
        assert view.fault == told


def test_a_module_has_no_kernels_even_if_a_repository_is_called_so() -> None:
    found = seen(
        state("sid main"),
        state("hello"),
        modules=("hello",),
        counts={"sid main": (7, 2), "hello": (1, 1)},
        versions={"hello": "1.0"},
    )
    assert [(each.listed, each.gone, each.modules) for each in found] == [(7, 2, ()), (0, 0, ("hello 1.0",))]


def test_as_json() -> None:
    [view] = seen(
        state("sid main", dated=10.0, error="sid main: it lists no kernel", hint="wait", problems=("p",), doubt=DOUBT),
        counts={"sid main": (7, 2)},
        accepted={"sid main": "ada"},
    )
    assert plain(view, 100.0) == {
        "name": "sid main",
        "kind": "repository",
        "health": "doubted",
        "idle": "",
        "kernels": 7,
        "gone": 2,
        "modules": [],
        "published": 10.0,
        "last_ok": 60.0,
        "age_seconds": 40,
        "last_try": 90.0,
        "error": "sid main: it lists no kernel",
        "hint": "wait",
        "mirror_faults": [],
        "problems": ["p"],
        "doubt": {
            "what": "it lists no kernel",
            "since": 50.0,
            "looks": 1,
            "looks_needed": 3,
            "accepted_by": "ada",
        },
    }
    [never] = seen(state("sid main", last_ok=0.0, last_try=0.0))
    told = plain(never, 100.0)
    assert [told[name] for name in ("published", "last_ok", "age_seconds", "last_try", "doubt")] == [None] * 5
