"""Which waiting request gets which worker, as Buildbot's distributor asks for it."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from kmodci.bot.hosts import NextWorker
from kmodci.bot.queue import BoundedChooser
from kmodci.hosts import Host, Room, choose
from kmodci.model import BuildId
from twisted.internet import defer


def request(build_id: str) -> Any:
    return SimpleNamespace(name=build_id, properties=SimpleNamespace(getProperty=lambda _: build_id))


def worker(name: str, host: str) -> Any:
    return SimpleNamespace(name=name, worker=SimpleNamespace(host=SimpleNamespace(name=host)))


class Chooser(BoundedChooser):
    """With a queue that a test writes down."""

    def __init__(self, requests: Sequence[Any], workers: Sequence[Any], farm: Any, *, refused: str = "") -> None:
        config = SimpleNamespace(nextWorker=NextWorker(farm), nextBuild=None)
        builder = SimpleNamespace(name="gcc-14", config=config, getAvailableWorkers=lambda: list(workers))
        super().__init__(cast(Any, builder), cast(Any, SimpleNamespace()))
        self.requests, self._refused = list(requests), refused

    def _first(self) -> defer.Deferred[Any]:
        return defer.succeed(self.requests[0] if self.requests else None)

    def _remove(self, request: Any) -> None:
        self.requests.remove(request)

    def _can_start(self, worker: Any, request: Any) -> defer.Deferred[bool]:
        return defer.succeed(worker.name != self._refused)

    # as Buildbot calls them
    _getNextUnclaimedBuildRequest, _removeBuildRequest, canStartBuild = _first, _remove, _can_start  # noqa: N815 its names


def farm(**labels: str) -> Any:
    def host(name: str, cross: str = "", marks: str = "") -> Host:
        sets = (frozenset(each.split()) for each in ("amd64", cross, marks))
        arches, others, own = sets
        return Host(name=name, docker_host="", same_machine=True, arches=arches, cross=others, labels=own)

    hosts = {"a": host("a"), "b": host("b", "arm64"), "c": host("c", "", "fast")}
    asked = {name: tuple(text.split()) for name, text in labels.items()}

    def host_for(build_id: BuildId, toolchain: str, rooms: Mapping[str, Room]) -> str | None:
        assert toolchain == "gcc-14"
        return choose(hosts, rooms, arch=build_id.target.arch, labels=asked.get(build_id.module, ()))

    return SimpleNamespace(planner=SimpleNamespace(host_for=host_for), workers=lambda _: 2)


def chosen(chooser: Chooser) -> tuple[str, str] | None:
    found: list[Any] = []
    chooser.popNextBuild().addCallback(found.append)
    [(worker, request)] = found
    return (worker.name, request.name) if worker is not None else None


AMD, ARM = "m/debian-sid-amd64/7.2.13+deb14-amd64", "m/debian-sid-arm64/7.2.13+deb14-arm64"
WORKERS = [worker("a-1", "a"), worker("a-2", "a"), worker("b-1", "b"), worker("c-1", "c"), worker("c-2", "c")]


def test_a_request_that_has_to_wait_holds_up_none_behind_it() -> None:
    chooser = Chooser([request(ARM), request(AMD)], WORKERS[:2], farm())
    assert chosen(chooser) == ("a-1", AMD)
    assert chosen(chooser) is None


def test_one_after_the_other_goes_to_the_least_loaded() -> None:
    chooser = Chooser([request(AMD), request(AMD), request(AMD)], WORKERS, farm())
    assert [chosen(chooser) for _ in range(3)] == [("a-1", AMD), ("c-1", AMD), ("a-2", AMD)]


def test_what_only_one_can_build_goes_there() -> None:
    assert chosen(Chooser([request(ARM)], WORKERS, farm())) == ("b-1", ARM)
    assert chosen(Chooser([request(AMD)], WORKERS, farm(m="fast"))) == ("c-1", AMD)
    assert chosen(Chooser([request(AMD)], WORKERS, farm(m="fast slow"))) is None


def test_a_worker_that_cannot_after_all_is_left_for_the_next_request() -> None:
    chooser = Chooser([request(AMD), request(AMD)], WORKERS[:2], farm(), refused="a-1")
    assert chosen(chooser) == ("a-2", AMD)
    assert chosen(chooser) is None, "and no worker is tried twice for one request"
