"""What is asked of Buildbot, with its own data API and a database of its own."""

from collections.abc import Callable

import pytest
from buildbot.data.connector import DataConnector
from buildbot.test import fakedb
from buildbot.test.fake import fakemaster
from buildbot.test.reactor import TestReactorMixin
from kmodci.bot.requests import FORCED, Requests
from twisted.trial.unittest import TestCase

NAME = "loop/debian-sid-amd64/6.1.0-56-amd64"


class _Builder:
    """As much of a builder as it takes to ask for a build."""

    def __init__(self, number: int, asked: Callable[[], object]) -> None:
        self._number, self._asked = number, asked

    async def getBuilderId(self) -> int:  # noqa: N802 # Buildbot's names
        return self._number

    def getCollapseRequestsFn(self) -> bool:  # noqa: N802
        # Buildbot wants to know once the request is written, and before it has told anybody
        self._asked()
        return False


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestRequests(TestReactorMixin, TestCase):
    async def setUp(self) -> None:
        self.setup_test_reactor()
        self.master = await fakemaster.make_master(self, wantDb=True, wantMq=True)
        self.master.data = DataConnector()
        await self.master.data.setServiceParent(self.master)
        self.requests = Requests(self.master, "matrix")
        self.use(lambda: None, await self.master.db.builders.findBuilderId("gcc-12"))

    def use(self, asked: Callable[[], object], number: int = 1) -> None:
        self.master.botmaster.builders["gcc-12"] = _Builder(number, asked)

    async def ask(self, name: str = NAME, builder: str = "gcc-12") -> bool:
        return await self.requests.ask(name, builder, {"module": "loop"}, "new kernel")

    async def end_all(self) -> None:
        """Ends all buildsets, and tells nobody."""
        for each in await self.master.db.buildsets.getBuildsets(complete=False):
            await self.master.db.buildsets.completeBuildset(each.bsid, 0)

    async def test_what_is_asked_for_is_not_asked_for_again_before_it_has_ended(self) -> None:
        assert await self.ask()
        assert not await self.ask()
        assert self.requests.ended(NAME)
        assert await self.ask()

    async def test_what_could_not_be_asked_for_is_asked_for_again(self) -> None:
        with self.assertRaises(KeyError):
            await self.ask(builder="gcc-13")
        assert len(self.requests) == 0
        assert await self.ask()

    async def test_what_ends_before_its_number_is_known_has_ended(self) -> None:
        self.use(lambda: self.requests.ended(NAME))
        assert await self.ask()
        assert NAME not in self.requests

    async def test_what_has_ended_without_a_word_is_found(self) -> None:
        await self.ask()
        await self.requests.check()
        assert NAME in self.requests
        await self.end_all()
        with self.requests.expected(FORCED + NAME):
            await self.requests.check()
            assert NAME not in self.requests
            assert FORCED + NAME in self.requests, "somebody is about to ask for it"

    async def test_a_master_that_starts_again_knows_what_it_has_asked_for(self) -> None:
        await self.ask()
        again = Requests(self.master, "matrix")
        await again.read()
        assert NAME in again
        await self.end_all()
        await again.check()
        assert len(again) == 0

    async def test_what_somebody_else_could_not_ask_for_is_not_waited_for(self) -> None:
        with self.assertRaises(ValueError), self.requests.expected(FORCED + NAME):
            raise ValueError("the form is wrong")
        assert len(self.requests) == 0
        with self.requests.expected(FORCED + NAME):
            self.requests.asked(FORCED + NAME, 1)
        with self.assertRaises(ValueError), self.requests.expected(FORCED + NAME):
            raise ValueError("and the first is still asked for")
        assert FORCED + NAME in self.requests

    async def test_what_is_hurried_comes_first_and_is_not_asked_for_again(self) -> None:
        await self.ask("a/debian-sid-amd64/6.1")
        await self.ask()
        assert not await self.requests.hurry("b/debian-sid-amd64/6.1", 50)
        assert await self.requests.hurry(NAME, 50)
        every = await self.master.data.get(("buildrequests",))
        assert [each["priority"] for each in sorted(every, key=lambda each: each["buildrequestid"])] == [0, 50]
        assert (await self.requests.reasons())[NAME] == "new kernel"

    async def test_what_a_worker_has_taken_is_not_hurried(self) -> None:
        await self.ask()
        [request] = await self.master.data.get(("buildrequests",))
        await self.master.db.insert_test_data([fakedb.Master(id=fakedb.FakeDBConnector.MASTER_ID)])
        await self.master.db.buildrequests.claimBuildRequests([request["buildrequestid"]])
        assert await self.requests.hurry(NAME, 50)
        [request] = await self.master.data.get(("buildrequests",))
        assert request["priority"] == 0
