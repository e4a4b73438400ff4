"""What is asked of an engine: no more than its proxy lets pass, and nothing that a proxy leaves out is missed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from kmodci.checkup import hosts
from kmodci.findings import Level
from kmodci.hosts import Answer
from support.hosts import HOSTS

from ..test_enginepolicy import CREATE, FARM, IMAGE, LIMITS, Recorder, judge


class _Client(Recorder):
    """An engine that is well, and whose containers say what they are told to."""

    said = b"uid=65534\nend=yes\n"
    information: ClassVar[dict[str, Any]] = {"Architecture": "x86_64", "NCPU": 2, "ServerVersion": "29.0"}

    def info(self) -> dict[str, Any]:
        return self.information

    def attach(self, *_: object, **__: object) -> Iterator[bytes]:
        return iter([self.said])

    def start(self, *_: object) -> None: ...


class _Engine:
    def __init__(self) -> None:
        self.client = _Client()
        self.client.farm = f"{FARM}-by-hand-17"

    def look(self, *, timeout: int) -> Answer:
        return Answer(cores=2, version="29.0")

    def tags(self) -> frozenset[str]:
        return frozenset({IMAGE})

    @contextmanager
    def asking(self, what: str, *, timeout: int) -> Iterator[_Client]:
        yield self.client


@pytest.fixture
def engine() -> Any:
    return _Engine()


def test_a_container_is_one_that_the_engines_proxy_lets_a_farm_have(engine: Any) -> None:
    found = list(hosts.of_sandboxes(engine, LIMITS, {IMAGE, "kmodci/toolchain-other:1"}))
    # it did not say what it may do
    assert {each.level for each in found} == {Level.WRONG, Level.NOTE}
    made, gone = engine.client.sent
    assert made[0] == "POST"
    assert made[1].endswith("/containers/create")
    assert judge("POST", CREATE, json.loads(made[2])).body
    assert gone[0] == "DELETE"
    assert judge(gone[0], gone[1]).container == "c1"


def test_no_image_no_container(engine: Any) -> None:
    [found] = hosts.of_sandboxes(engine, LIMITS, {"kmodci/toolchain-other:1"})
    assert found.level is Level.NOTE
    assert engine.client.sent == []


def test_an_engine_behind_a_proxy_tells_little_and_that_is_enough(engine: Any) -> None:
    assert [each.level for each in hosts.of_engine(HOSTS["near"], engine)] == [Level.GOOD]


def test_what_an_engine_tells(engine: Any) -> None:
    engine.client.information = {
        **engine.client.information,
        "SystemTime": "2020-01-01T00:00:00.123456789Z",
        "Warnings": ["WARNING: No swap limit support"],
        "DockerRootDir": "/nowhere",
    }
    found = list(hosts.of_engine(HOSTS["near"], engine))
    assert [each.level for each in found] == [Level.GOOD, Level.NOTE, Level.WRONG]
    assert found[1].what == "it warns: No swap limit support"
    assert "behind" in found[2].what
