"""Removes every night what need not be kept: `cleanup` does it, and Buildbot's janitor for the logs of its own."""

import time
from collections.abc import Iterable
from datetime import timedelta

from buildbot.config import BuilderConfig
from buildbot.configurators import ConfiguratorBase
from buildbot.process.buildstep import BuildStep
from buildbot.process.factory import BuildFactory
from buildbot.process.results import FAILURE, SUCCESS
from buildbot.schedulers.forcesched import ForceScheduler
from buildbot.util.service import BuildbotService
from twisted.internet import threads

from ..cleanup import Cleanup, Waste
from ..errors import KmodciError
from ..farm import Farm
from ..quantities import size_text

NAME = "gc"
# by the master's clock; the janitor before, for what it frees is in the database that this reads
_HOUR, _MINUTE, _JANITOR_HOUR = 3, 30, 3


def gc_builder(farm: Farm, worker: str) -> BuilderConfig:
    """One that runs on the master."""
    return BuilderConfig(
        name=NAME,
        description="removes what need not be kept any longer: old versions, unused header bundles and images, logs",
        workernames=[worker],
        factory=BuildFactory([RemoveWaste(farm=farm)]),
        tags=[NAME],
    )


def gc_schedulers() -> list[BuildbotService]:
    """Nightly, and whenever somebody asks."""
    # only now, here and below: croniter, which they need, starts the program `file` when it is imported
    from buildbot.schedulers.timed import Nightly

    return [
        Nightly(name="gc-nightly", builderNames=[NAME], hour=_HOUR, minute=_MINUTE),
        ForceScheduler(name="gc-force", builderNames=[NAME], buttonName="Remove what need not be kept"),
    ]


def janitor(farm: Farm) -> ConfiguratorBase:
    """Takes the logs of old builds out of Buildbot's database."""
    from buildbot.configurators.janitor import JanitorConfigurator

    horizon = timedelta(seconds=farm.settings.retention.logs)
    return JanitorConfigurator(logHorizon=horizon, build_data_horizon=horizon, hour=_JANITOR_HOUR)


class RemoveWaste(BuildStep):
    """Its log says what was removed, and why."""

    name = NAME
    haltOnFailure = True

    def __init__(self, farm: Farm, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.farm = farm

    async def run(self) -> int:
        log = await self.addLog("stdio")
        cleanup = Cleanup(self.farm)
        kept: list[str] = []
        try:
            waste = await threads.deferToThread(cleanup.look, now=time.time())
            await log.addStdout("".join(f"{line}\n" for line in _lines(waste)))
            await threads.deferToThread(cleanup.remove, waste, kept.append)
        except KmodciError as error:
            await log.addStderr(f"{error}\n")
            self.descriptionDone = [error.brief.splitlines()[0][:120]]
            return FAILURE
        await log.addStdout("".join(f"{line}\n" for line in kept))
        self.descriptionDone = [f"removed {size_text(waste.size)}"]
        return SUCCESS


def _lines(waste: Waste) -> Iterable[str]:
    if waste.fault:
        yield f"images stay: {waste.fault}"
    for each in waste.all:
        yield f"{len(each.objects):>8}  {size_text(each.size):>8}  {each.what}: {each.why}"
        yield from (f"{'':>20}{found.key}" for found in each.objects)
    yield f"{sum(len(each.objects) for each in waste.all):>8}  {size_text(waste.size):>8}  in all"
