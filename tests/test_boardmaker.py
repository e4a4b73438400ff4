"""How boards are made of a plan, and of what has ended since."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from kmodci.boardmaker import BoardMaker
from kmodci.errors import StoreError
from kmodci.history import History
from kmodci.manifest import IndexEntry
from kmodci.model import Outcome, Status
from kmodci.objects import Object
from kmodci.planning import Plan
from kmodci.store import Store
from support.boards import board, outcome, published_of, version_of

BOARD = board()
NAME, STANDING = next(iter(BOARD.standings.items()))
KERNEL = STANDING.entry.kernel


class Index:
    """The part of a bucket that is listed, and of a publisher that is read."""

    def __init__(self) -> None:
        self.listed: list[str] = []
        self.versions = ["0.9"]

    def list(self, prefix: str) -> Iterator[Object]:
        self.listed.append(prefix)
        for version in self.versions:
            yield Object(key=f"{prefix}{version}/debian/amd64/{KERNEL.release}.json", size=1, modified=0.0)

    def entries(self, module: str, version: str) -> Mapping[str, IndexEntry]:
        return {NAME: published_of(STANDING.entry, version)} if version in self.versions else {}


@pytest.fixture
def index() -> Index:
    return Index()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(f"sqlite:///{tmp_path}/kmodci.sqlite")
    store.create()
    return store


@pytest.fixture
def maker(store: Store, index: Index) -> BoardMaker:
    farm = SimpleNamespace(store=store, history=History(store), bucket=index, publisher=index)
    said: list[str] = []
    return BoardMaker(farm=farm, say=said.append)  # type: ignore[arg-type] # the part of a farm that it uses


def plan(outcomes: Mapping[str, Outcome] | None = None, version: str = "1.0") -> Plan:
    return Plan(
        builds=tuple(BOARD.standings.values()),
        kernels=BOARD.kernels,
        versions={"loop": version_of("loop", version)},
        keys=BOARD.keys,
        outcomes=outcomes or {},
        is_whole=True,
    )


def ended(status: Status = Status.BUILT, finished: float = 160.0) -> Outcome:
    return outcome(STANDING.entry, BOARD.keys[NAME], status, finished=finished)


def test_what_ended_after_the_plan_is_not_taken_back_with_it(maker: BoardMaker, store: Store) -> None:
    maker.take(plan())
    assert maker.board([])[0].state(NAME) == "pending"
    store.put_outcome(ended(Status.FAILED))
    found, unknown = maker.board([NAME])
    assert (found.state(NAME), unknown) == ("failed", {NAME}), "the plan knows nothing of it, so it is asked for again"
    maker.take(plan())
    assert maker.board(unknown)[0].state(NAME) == "failed"
    maker.take(plan({NAME: ended(Status.FAILED)}))
    assert maker.board(unknown)[1] == frozenset()


def test_the_index_is_listed_once_however_many_plans_are_made(maker: BoardMaker, index: Index) -> None:
    for _ in range(3):
        maker.take(plan())
    assert index.listed == ["index/loop/"]
    index.versions = ["0.9", "1.0"]
    maker.take(plan())
    published = maker.board([])[0].published
    assert {version for _, version in published} == {"0.9", "1.0"}
    assert published["loop", "1.0"], "one that is published for the first time"
    maker.take(plan(version="1.1"))
    assert maker.board([])[0].published["loop", "1.0"], "and was the module's until just now"
    maker.forget_versions()
    maker.take(plan())
    assert len(index.listed) == 2


def test_how_long_a_module_took_is_noted_also_if_a_master_ended_before(maker: BoardMaker, store: Store) -> None:
    History(store).appeared([KERNEL], 100.0)
    maker.take(plan({NAME: ended()}))
    assert maker.board([])[0].arrivals[NAME].took == 60.0


def test_how_long_a_module_took_is_noted_when_it_ends(maker: BoardMaker, store: Store) -> None:
    History(store).appeared([KERNEL], 100.0)
    maker.take(plan())
    store.put_outcome(ended())
    maker.board([NAME])
    assert [each.took for each in History(store).arrivals()] == [60.0]


def test_charts_hold_nothing_up(maker: BoardMaker, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the database is full")

    monkeypatch.setattr(History, "built", fail)
    monkeypatch.setattr(History, "note_tallies", fail)
    History(store).appeared([KERNEL], 100.0)
    maker.take(plan({NAME: ended()}))
    store.put_outcome(replace(ended(), finished=170.0))
    assert maker.board([NAME])[0].state(NAME) == "built"
