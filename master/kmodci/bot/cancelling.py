"""What was cancelled, with its run or by itself, is not asked for again until a person does."""

from buildbot.master import BuildMaster
from twisted.internet import threads

from ..farm import Farm
from ..ledger import Ledger
from ..matrix import Why
from ..model import BuildId
from ..runs import RunEntry
from .requests import FORCED, Requests


async def cancel_run(ledger: Ledger, requests: Requests, run: str, *, by: str, stop: bool) -> None:
    """What of a run waits goes out of Buildbot's queue, what runs may end or is stopped.

    run: its id; by: who wants it; stop: what runs as well. Raises NotFound.

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


async def hold_cancelled(master: BuildMaster, farm: Farm, buildset: object) -> None:
    """Somebody cancelled a request before it started, or it would be planned again at once. buildset: its number."""
    found = await master.data.get(("buildsets", str(buildset)))
    name = str(found["external_idstring"] or "").removeprefix(FORCED) if found else ""
    if name.count("/") == 2:
        await threads.deferToThread(_hold, farm, BuildId.parse(name))


def _hold(farm: Farm, name: BuildId) -> None:
    """In a thread."""
    job, before = farm.job(str(name)), farm.runs.hold(name)
    # one that was cancelled with its run is held already, and says so
    if before is None or before.tries or before.key != job.key:
        farm.hold_cancelled(job, "cancelled before it started")


def _request(entry: RunEntry) -> str:
    """The name of the request that an entry waits for."""
    return f"{FORCED if entry.why is Why.FORCED else ''}{entry.build_id}"
