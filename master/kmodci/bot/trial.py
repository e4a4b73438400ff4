"""Sends a test message to receivers, by the same reporters as a farm does: `python -m kmodci.bot.trial`.

For `kmodci notify --test`, in a process of its own. Needs no farm to run, and no store. Prints a line of JSON for
each receiver.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

from buildbot.util.httpclientservice import HTTPClientService
from buildbot.util.service import AsyncMultiService
from twisted.internet import defer, task
from twisted.internet.interfaces import IReactorTime
from twisted.python import log

from ..errors import KmodciError
from ..news import TestNews
from ..notifyfile import addressees
from ..settings import Settings, load
from .posting import Answer
from .receivers import GitHub, Mail, Webhook
from .reports import reporter_of

# a reporter has limits of its own, several of them one after the other
_SECONDS = 300.0


class Stand(AsyncMultiService):
    """What reporters ask of a master, and no more of it."""

    def __init__(self, reactor: IReactorTime, title: str) -> None:
        super().__init__()
        self.reactor = reactor
        self.config = SimpleNamespace(title=title)
        self.mq = SimpleNamespace(startConsuming=_nothing_comes)

    @property
    def master(self) -> "Stand":
        return self

    async def open(self) -> None:
        await self.startService()
        self.httpservice = await HTTPClientService.getService(self, "")


def _nothing_comes(callback: object, key: object) -> defer.Deferred[SimpleNamespace]:
    return defer.succeed(SimpleNamespace(stopConsuming=lambda: None))


async def try_out(stand: Stand, reporter: Webhook | Mail | GitHub, farm: str) -> Answer:
    """Sends it a test message. farm: the address of the web interface."""
    await reporter.setServiceParent(stand)
    if isinstance(reporter, GitHub):
        return await reporter.try_token()
    [generator] = reporter.generators
    return await reporter.deliver(generator.report(TestNews(url=farm), "test"))


async def _run(reactor: IReactorTime, settings: Settings, names: Sequence[str]) -> None:
    stand = Stand(reactor, "kmodci")
    await stand.open()
    farm = settings.web.address
    for name, receiver in addressees({name: settings.notify[name] for name in names}).items():
        try:
            tried = try_out(stand, reporter_of(name, receiver, farm), farm)
            answer = await defer.ensureDeferred(tried).addTimeout(_SECONDS, reactor)
        except defer.TimeoutError:
            answer = Answer(is_good=False, said=f"no answer within {_SECONDS:.0f} s")
        except KmodciError as error:
            answer = Answer(is_good=False, said=str(error))
        print(json.dumps({"receiver": name, "ok": answer.is_good, "said": answer.said}), flush=True)
    await stand.stopService()


def main() -> None:
    """Arguments: the folder of the configuration, and the names of receivers."""
    folder, *names = sys.argv[1:]
    settings = load(Path(folder))
    log.startLogging(sys.stderr, setStdout=False)
    task.react(lambda reactor: defer.ensureDeferred(_run(reactor, settings, names)))


if __name__ == "__main__":
    main()
