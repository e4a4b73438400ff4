"""Several engines as one: which is asked, which is left out, and what is told when none answers."""

import threading
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from kmodci.engines import Engines
from kmodci.errors import EngineError
from kmodci.hosts import Answer, Host


@dataclass
class Fake:
    """An engine whose answers a test writes down."""

    images: set[str] = field(default_factory=set)
    fault: str = ""
    asked: int = 0
    forgotten: int = 0

    def look(self, *, timeout: int) -> Answer:
        self.asked += 1
        if self.fault:
            raise EngineError(self.fault, hint="start it")
        return Answer(images=frozenset(self.images), cores=2)

    def forget_bundles(self) -> None:
        self.forgotten += 1

    def remove_image(self, tag: str) -> bool:
        self.images.discard(tag)
        return not self.fault

    def sweep(self, **_: object) -> int:
        self.asked += 1
        return 1


def engines(**fakes: Fake) -> Engines:
    hosts = {
        name: Host(
            name=name,
            docker_host=f"tcp://{name}",
            same_machine=False,
            arches=frozenset({"amd64"}),
            cross=frozenset({"arm64"}) if name == "two" else frozenset(),
        )
        for name in fakes
    }
    return Engines(hosts=hosts, engines=cast(Any, fakes))


def test_images_are_those_of_all_hosts_that_answer() -> None:
    one, two, three = Fake({"a"}), Fake({"b"}), Fake({"c"}, fault="gone")
    asked = engines(one=one, two=two, three=three)
    assert asked.tags() == {"a", "b"}
    assert asked.is_away("three")
    assert asked.tags() == {"a", "b"}
    assert three.asked == 1, "who is known to be away is left to the watch"


def test_when_none_answers_all_are_asked_again_and_it_is_told_why() -> None:
    one, two = Fake(fault="refused"), Fake(fault="no route")
    asked = engines(one=one, two=two)
    for _ in range(2):
        with pytest.raises(EngineError, match="refused; no route"):
            asked.tags()
    one.fault = ""
    assert asked.tags() == set()
    assert not asked.is_away("one")


def test_for_what_no_worker_does_the_first_that_can_and_answers() -> None:
    one, two = Fake(fault="refused"), Fake()
    asked = engines(one=one, two=two)
    assert asked.first() == "two"
    assert asked.first(arch="arm64") == "two"
    one.fault = ""
    assert asked.first() == "one"
    two.fault = "no route"
    with pytest.raises(EngineError, match="no route"):
        asked.first(arch="arm64")
    with pytest.raises(EngineError, match="no host can build it"):
        asked.first(labels=("fast",))


def test_what_a_lost_host_had_is_looked_for_again() -> None:
    one = Fake()
    asked = engines(one=one)
    asked.look("one")
    assert one.forgotten == 0
    one.fault = "refused"
    asked.look("one")
    assert one.forgotten == 1


def test_an_image_goes_from_every_host_though_one_keeps_it() -> None:
    one, two = Fake({"a"}, fault="in use"), Fake({"a"})
    assert engines(one=one, two=two).remove_image("a") is False
    assert two.images == set()


def test_who_is_away_is_not_swept() -> None:
    one, two = Fake(), Fake(fault="refused")
    asked = engines(one=one, two=two)
    asked.look("two")
    assert asked.sweep() == 1
    assert (one.asked, two.asked) == (1, 1)


def test_all_are_asked_at_once() -> None:
    together = threading.Barrier(2, timeout=10)

    class Slow(Fake):
        def look(self, *, timeout: int) -> Answer:
            together.wait()
            return super().look(timeout=timeout)

    assert engines(one=Slow({"a"}), two=Slow({"b"})).tags() == {"a", "b"}


def test_going_and_coming_back_is_told_once_whoever_notices() -> None:
    one, told = Fake(), []
    asked = engines(one=one)
    asked.on_change = lambda name, state: told.append((name, state.fault))
    asked.look("one")
    assert told == []
    one.fault = "refused"
    asked.note_fault("one", "no answer")
    asked.look("one")
    assert told == [("one", "no answer")]
    one.fault = ""
    asked.tags()
    asked.look("one")
    assert told == [("one", "no answer"), ("one", "")]
