"""A run that is cancelled while workers take its builds."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from tempfile import TemporaryDirectory

from buildbot.test.reactor import TestReactorMixin
from kmodci.bot.cancelling import cancel_run
from kmodci.bot.requests import Requests
from kmodci.errors import StoreError
from kmodci.ledger import Ledger
from kmodci.matrix import Entry, Planned, Why
from kmodci.model import BuildId
from kmodci.objects import Object
from kmodci.runstore import RunStore
from kmodci.store import Store
from support.kernels import kernels
from twisted.trial.unittest import TestCase

PLAN = [
    Planned(
        entry=Entry(build_id=BuildId(module="loop", target=kernel.target, release=kernel.release), kernel=kernel),
        key="k",
        why=Why.NEW_KERNEL,
    )
    for kernel in kernels()[:3]
]
RUNNING, LATE, WAITING = (str(planned.entry.build_id) for planned in PLAN)


class _Objects(dict[str, bytes]):
    """As much of a bucket as a ledger uses."""

    is_away = False

    def put(self, key: str, data: bytes) -> None:
        if self.is_away:
            raise StoreError("the bucket is away")
        self[key] = data

    def list(self, prefix: str = "") -> Iterator[Object]:
        raise NotImplementedError

    def delete(self, keys: Iterable[str]) -> None:
        raise NotImplementedError


class _Queue(Requests):
    """A queue of which a worker takes one more build just before it is cancelled."""

    def __init__(self) -> None:
        self.waiting, self.taken, self.stopped = {LATE, WAITING}, {RUNNING}, set[str]()

    async def running(self) -> dict[str, Mapping[str, object]]:
        return {name: {"buildid": 1} for name in self.taken}

    async def cancel(self, names: Collection[str], reason: str) -> None:
        self.waiting.remove(LATE)
        self.taken.add(LATE)
        self.waiting -= set(names)

    async def stop(self, names: Collection[str], reason: str) -> None:
        self.stopped = self.taken & set(names)


class TestCancelling(TestReactorMixin, TestCase):
    async def setUp(self) -> None:
        self.setup_test_reactor()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        store = Store(f"sqlite:///{folder.name}/kmodci.sqlite")
        store.create()
        self.addCleanup(store.close)
        self.queue = _Queue()
        self.bucket = _Objects()
        self.ledger = Ledger(store=store, runs=RunStore(store), bucket=self.bucket, slots=1, chunk_length=1)
        self.ledger.open(PLAN, {}, {})
        [self.run_id] = self.ledger.open_runs

    async def test_what_runs_may_end(self) -> None:
        await cancel_run(self.ledger, self.queue, self.run_id, by="ada", stop=False)
        assert (self.queue.waiting, self.queue.stopped) == (set(), set())
        assert [str(entry.build_id) for entry in self.ledger.left()] == [RUNNING]

    async def test_what_was_taken_meanwhile_is_stopped_as_well(self) -> None:
        await cancel_run(self.ledger, self.queue, self.run_id, by="ada", stop=True)
        assert self.queue.stopped == {RUNNING, LATE}

    async def test_what_is_cancelled_leaves_the_queue_also_while_the_bucket_is_away(self) -> None:
        self.bucket.is_away = True
        with self.assertRaises(StoreError):
            await cancel_run(self.ledger, self.queue, self.run_id, by="ada", stop=True)
        assert self.queue.waiting == set()
        assert self.queue.taken == {RUNNING, LATE}
