"""What only the database knows is in the bucket as well, and a new database is told it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from kmodci.bucket import Bucket
from kmodci.doubt import Doubt
from kmodci.errors import StoreError
from kmodci.history import History
from kmodci.keys import MEMORY
from kmodci.memory import Memory, is_new, recall
from kmodci.model import BuildId, Hold, Outcome, Status
from kmodci.products import Publisher
from kmodci.publishing import publish
from kmodci.recovery import catch_up, outcomes_of, recover
from kmodci.runstore import RunStore
from kmodci.store import RepositoryState, Store
from support.builds import SERIES, built
from support.s3 import bucket, s3

__all__ = ["bucket", "s3"]


class Shelf(Bucket):
    """One object, in memory."""

    def __init__(self) -> None:
        self.writes, self.content = 0, None

    def put(self, key: str, data: bytes) -> None:
        assert key == MEMORY
        self.writes, self.content = self.writes + 1, data

    def get(self, key: str) -> bytes | None:
        assert key == MEMORY
        return self.content


def made(folder: Path, name: str) -> Store:
    store = Store(f"sqlite:///{folder}/{name}.sqlite")
    store.create()
    return store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One that knows something of everything."""
    store, kernel = made(tmp_path, "before"), built().kernel
    doubt = Doubt(what="nothing any more", digest="d", since=4.0, looks=1, last=4.0)
    store.put_repository(
        RepositoryState(name=kernel.repository, digest="d", dated=5.0, last_ok=6.0, problems=("odd",), doubt=doubt)
    )
    store.put_kernels(kernel.repository, [replace(kernel, gone=7.0), replace(kernel, release="6.1.0-9-amd64")])
    store.put_module_version(built().module)
    failed = outcome(kernel_release=kernel.release, status=Status.FAILED)
    store.put_outcomes([failed, replace(failed, build_id=other(), status=Status.BUILT)])
    hold = Hold(build_id=other(), key="k", reason="cancelled", noted=1.0, tries=0, until=float("inf"))
    RunStore(store).put_holds([hold])
    History(store).appeared([kernel], 8.0)
    store.put_meta("bundle/x", "y")
    return store


def other() -> BuildId:
    return BuildId.parse("other/debian-bookworm-amd64/6.1.0-9-amd64")


def outcome(*, kernel_release: str, status: Status) -> Outcome:
    return Outcome(
        build_id=BuildId.parse(f"m/debian-bookworm-amd64/{kernel_release}"),
        key="k",
        status=status,
        cause="no such header",
        module_version="1",
        kernel_version="2",
        finished=3.0,
        seconds=1.0,
        make_seconds=1.0,
        build_url="",
        manifest="",
    )


def test_a_new_database_knows_what_the_earlier_one_knew(store: Store, tmp_path: Path) -> None:
    shelf, new = Shelf(), made(tmp_path, "after")
    assert Memory(store, shelf).write()
    assert is_new(new)
    assert recall(new, shelf) == 8
    assert new.kernels() == store.kernels()
    assert {kernel.gone for kernel in new.kernels().values()} == {7.0, 0.0}
    assert new.module_versions() == store.module_versions()
    assert History(new).appearances() == History(store).appearances()
    assert RunStore(new).holds() == RunStore(store).holds()
    assert new.metas("") == {"bundle/x": "y"}
    # what is built, manifests say; what an index lists is read once more
    assert [each.status for each in new.outcomes().values()] == [Status.FAILED]
    before, after = store.repository_states(), new.repository_states()
    assert after == {name: replace(state, digest="") for name, state in before.items()}


def test_it_is_written_when_it_is_another(store: Store) -> None:
    shelf = Shelf()
    memory = Memory(store, shelf)
    assert [memory.write(), memory.write()] == [True, False]
    store.put_meta("a", "b")
    assert [memory.write(), memory.write()] == [True, False]
    assert shelf.writes == 2


def test_a_database_that_knows_something_is_told_nothing(store: Store, tmp_path: Path) -> None:
    shelf, other_store = Shelf(), made(tmp_path, "other")
    Memory(store, shelf).write()
    other_store.put_outcome(outcome(kernel_release="6.1.0-1-amd64", status=Status.FAILED))
    assert recall(other_store, shelf) == 0
    assert len(other_store.outcomes()) == 1


def test_a_new_farm_has_nothing_to_remember(tmp_path: Path) -> None:
    assert recall(made(tmp_path, "new"), Shelf()) == 0


@pytest.mark.parametrize(
    "content",
    [
        b"not zstd",
        zstandard.compress(b"not json"),
        zstandard.compress(b"[]"),
        zstandard.compress(b'{"kmodci_meta": [{"key": "a"}]}'),
        zstandard.compress(b'{"kmodci_meta": [{"key": "a", "value": 1}]}'),
        zstandard.compress(b'{"kmodci_meta": [7]}'),
    ],
)
def test_what_is_not_as_it_was_written_is_refused_and_nothing_of_it_taken(content: bytes, tmp_path: Path) -> None:
    shelf, new = Shelf(), made(tmp_path, "new")
    shelf.content = content
    with pytest.raises(StoreError, match=r"state/memory.json.zst in the bucket is not what kmodci wrote"):
        recall(new, shelf)
    assert is_new(new)
    assert new.metas("") == {}


def test_what_a_later_version_knows_besides_is_left_out(store: Store, tmp_path: Path) -> None:
    shelf, new = Shelf(), made(tmp_path, "new")
    Memory(store, shelf).write()
    assert shelf.content is not None
    told = json.loads(zstandard.ZstdDecompressor().stream_reader(shelf.content).read())
    told["kmodci_later"] = [{"a": 1}]
    for row in told["kmodci_kernels"]:
        row["later"] = "x"
        # and what an earlier one did not know yet has its default
        del row["gone"]
    shelf.content = zstandard.compress(json.dumps(told).encode())
    assert recall(new, shelf) == 8
    assert [kernel.gone for kernel in new.kernels().values()] == [0.0, 0.0]


@pytest.mark.slow
@pytest.mark.parametrize("by", ["start", "command"])
def test_of_what_failed_and_what_is_published_the_later_counts(bucket: Bucket, tmp_path: Path, by: str) -> None:
    first, second = [publish(bucket, built(release)) for release in list(SERIES)[:2]]
    names = (first.build_id, second.build_id)
    failed = {
        name: replace(each, status=Status.FAILED, finished=each.finished + (1 if name == names[0] else -1))
        for name, each in outcomes_of([first, second]).items()
    }
    new = made(tmp_path, "new")
    new.put_outcomes(failed.values())
    if by == "start":
        catch_up(bucket, new, Publisher(bucket))
    else:
        recover(bucket, new)
    assert [new.outcomes()[name].status for name in names] == [Status.FAILED, Status.BUILT]
