"""Cancels a run: what of it waits goes out of Buildbot's queue, what runs may end or is stopped."""

from twisted.internet import threads

from ..ledger import Ledger
from ..matrix import Why
from ..runs import RunEntry
from .requests import FORCED, Requests


async def cancel_run(ledger: Ledger, requests: Requests, run: str, *, by: str, stop: bool) -> None:
    """run: its id; by: who wants it; stop: what runs as well. Raises NotFound.

    Nobody else may write to the ledger meanwhile.
    """
    running = {name.removeprefix(FORCED) for name in await requests.running()}
    before = set(map(_request, ledger.left()))
    try:
        left = await threads.deferToThread(ledger.cancel, run, by=by, running=running)
    finally:
        # also when only its notes could not be put into the bucket: it is cancelled then, and nobody would ask again
        gone = before - set(map(_request, ledger.left()))
        await requests.cancel(gone, f"cancelled with its run by {by}")
    if stop:
        # also what a worker has taken since it was looked: it could not be cancelled any more
        names = {*left, *(FORCED + name for name in left), *gone}
        await requests.stop(names, f"stopped with its run by {by}")


def _request(entry: RunEntry) -> str:
    """The name of the request that an entry waits for."""
    return f"{FORCED if entry.why is Why.FORCED else ''}{entry.build_id}"
