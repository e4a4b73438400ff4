"""A build that always ends in one of our words, and never for ever.

Buildbot retries a lost worker without end, and calls other faults of the farm EXCEPTION. Here a
fault of the farm is retried a few times and then told as a failure with its reason; a container
that was killed for memory is a failure of the build at once.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from buildbot.process.build import Build
from buildbot.process.builder import Builder
from buildbot.process.buildrequest import BuildRequest
from buildbot.process.buildstep import BuildStep
from buildbot.process.results import (
    CANCELLED,
    EXCEPTION,
    FAILURE,
    RETRY,
    SKIPPED,
    SUCCESS,
    statusToString,
    worst_status,
)
from buildbot.process.workerforbuilder import AbstractWorkerForBuilder
from buildbot.util.twisted import async_to_deferred
from twisted.internet import threads
from twisted.python import log

from ..errors import KmodciError
from ..facts import Facts
from ..farm import Farm
from ..manifest import Artifact
from ..model import Status
from ..products import Job
from ..supply import Bundle
from .schedulers import found_scheduler
from .workers import SandboxWorker

TRIES = 4
# with those that were lost with their host
_MOST_TRIES = 16
# the property of a build whose host went away
LOST = "lost_with_host"
# What Buildbot says to a build that it stops because it stops itself (botmaster.py, cleanShutdown).
_SHUTDOWN = "Master Shutdown"
_RESULTS = {Status.BUILT: SUCCESS, Status.FAILED: FAILURE, Status.UNAVAILABLE: SKIPPED, Status.SKIPPED: SKIPPED}


_NOTHING: Mapping[str, Path] = MappingProxyType({})


class KernelBuild(Build):
    """One module for one kernel. Its steps call `conclude` at most once."""

    _builderid: int | None = None
    job: Job | None = None
    ended: Status | None = None
    impossible = ""
    fault = ""
    """what of the farm was at fault, as the step that met it says"""
    bundle: Bundle
    headers: Mapping[str, Path] = _NOTHING
    """the top folders of the header bundle, where they are mounted from"""
    facts: Facts | None = None
    artifacts: tuple[Artifact, ...] = ()
    began = 0.0
    _run = ""

    def __init__(self, farm: Farm, requests: list[BuildRequest], builder: Builder) -> None:
        super().__init__(requests, builder)
        self.farm = farm

    @property
    def build_id(self) -> str:
        return str(self.getProperty("virtual_builder_name"))

    @async_to_deferred
    async def getBuilderId(self) -> int:
        # The row is there since its kernel was discovered (`virtual`); stock writes it anew for each build, in a dozen
        # transactions, and then reads the tags of every builder.
        if self._builderid is None:
            name = self.getProperty("virtual_builder_name") or self.builder.name
            self._builderid = await self.builder.getBuilderIdForName(name)
        return int(self._builderid)

    async def conclude(self, status: Status, cause: str = "", *, manifest: str = "") -> None:
        """Writes down how this build ended, unless what it was for is not even known."""
        if self.job is not None:
            await threads.deferToThread(
                self.farm.conclude,
                self.job,
                status,
                cause,
                began=self.began,
                make_seconds=self.facts.make.user + self.facts.make.system if self.facts else 0.0,
                url=await self.getUrl(),
                manifest=manifest,
            )
        # not before: what could not be written down has not ended, and is tried again
        self.ended = status

    async def find_headers(self, host: str) -> None:
        """Before the container starts, which is to mount them. What cannot be had now, the step waits for, or tells."""
        if self.job is not None:
            supply, kernel = self.farm.supply, self.job.entry.kernel
            try:
                if self.farm.engines.hosts[host].same_machine:
                    _, self.headers = await threads.deferToThread(supply.headers, kernel, self.job.runs_on)
                else:
                    await threads.deferToThread(supply.bundle, kernel, self.job.runs_on)
                await self._use_learned(self.job, host)
            except KmodciError as error:
                self._say(f"starts without its headers: {error.brief}")

    async def _use_learned(self, job: Job, host: str) -> None:
        """The compiler that the headers turn out to name. Raises KmodciError where its image cannot be had yet."""
        again = await threads.deferToThread(self.farm.job_as_learned, job)
        if again.image != job.image:
            await threads.deferToThread(self.farm.has_image, again.image, host)
            self.setProperty("image", again.image, "kmodci")
        self.job = again

    async def is_asked_again(self) -> bool:
        """Whether somebody wants this built although it is: by the form, or by a build page's Rebuild button."""
        if self.getProperty("rebuild"):
            return True
        buildset = await self.master.data.get(("buildsets", str(self.requests[0].bsid)))
        return buildset["rebuilt_buildid"] is not None

    @property
    def host(self) -> str:
        """That it runs on."""
        worker = self.workerforbuilder.worker
        return worker.host.name if isinstance(worker, SandboxWorker) else ""

    async def put_inputs(self, files: Mapping[str, Path], step: BuildStep) -> None:
        """Has files where its container sees them. step: that asks for it. Raises KmodciError."""
        await self.workerforbuilder.worker.put_inputs(files, step)

    async def tries(self) -> int:
        """How many builds its request has had, this one among them."""
        return len(await self.master.data.get(("buildrequests", self.requests[0].id, "builds")))

    async def _lost_hosts(self) -> int:
        """How many of those ended because their host went away: that is no fault of theirs."""
        builds = await self.master.data.get(("buildrequests", self.requests[0].id, "builds"))
        found = 0
        for build in builds:
            properties = await self.master.data.get(("builds", build["buildid"], "properties"))
            found += LOST in properties
        return found

    def nothing_to_do(self) -> None:
        """This very build has been done before: end here, and leave what is written."""
        self.ended = Status.SKIPPED

    async def done_before(self) -> None:
        """As `nothing_to_do`. A master that was killed after it had published was one try short of saying so."""
        self.ended = Status.BUILT if await self.tries() > 1 else Status.SKIPPED

    def __repr__(self) -> str:
        # which is how Buildbot's own words in the log tell of it
        return f"<Build {self.build_id} number:{self.number!r} of {self.builder.name}>"

    def _say(self, what: str, *, step: str = "") -> None:
        """To the log. Buildbot tells of the same, but not of which build of the farm's, in which run, on which host."""
        worker = self.workerforbuilder.worker if self.workerforbuilder else None
        fields = {"run": self._run, "worker": worker.name if worker else "", "host": self.host if worker else ""}
        log.msg(f"{self.build_id}: {what}", build_id=self.build_id, build=self.buildid, step=step, **fields)

    @async_to_deferred
    async def startBuild(self, workerforbuilder: AbstractWorkerForBuilder) -> None:
        self.began = time.time()
        scheduler = found_scheduler(self.master)
        self._run = scheduler.run_of(self.build_id) if scheduler else ""
        on = workerforbuilder.worker.name
        log.msg(f"{self.build_id}: begins on {on}", build_id=self.build_id, run=self._run, worker=on)
        worker, ref = workerforbuilder.worker, self.getProperty("module_ref") or ""
        host = worker.host.name if isinstance(worker, SandboxWorker) else ""
        try:
            self.job = await threads.deferToThread(self.farm.job, self.build_id, ref, host)
            self.setProperty("image", self.job.image, "kmodci")
        except KmodciError as error:
            self.impossible = str(error)
        await super().startBuild(workerforbuilder)

    @async_to_deferred
    async def stepDone(self, results: int, step: BuildStep) -> bool:
        self._say(f"{step.name}: {statusToString(results)}", step=step.name)
        terminate = await super().stepDone(results, step)
        if self.ended is not None and self.conn:
            # unavailable and skipped are neither red nor green, and end the build where it stands
            self.results = _RESULTS[self.ended]
            return True
        return terminate

    @async_to_deferred
    async def buildFinished(self, text: list[str], results: int) -> None:
        results = worst_status(self.results, results)
        try:
            if self.ended is None and results in (RETRY, EXCEPTION):
                results, text = await self._after_fault(text)
            elif self.ended is None and results == CANCELLED and self.stopped_reason != _SHUTDOWN and self.job:
                # or it would be planned again at once
                reason = f"cancelled: {self.stopped_reason or 'no reason'}"
                await threads.deferToThread(self.farm.hold_cancelled, self.job, reason)
        except KmodciError as error:
            # nothing may be raised from here: the build would never end, and its worker never be free
            self._say(f"cannot write down how it ended: {error}")
            if results != CANCELLED:
                self.workerforbuilder.worker.putInQuarantine()
                results = RETRY
        self.results = results
        self._say(f"{self.ended or statusToString(results)}: {' '.join(text)}")
        await super().buildFinished(text, results)

    async def _has_lost_host(self, worker: SandboxWorker) -> bool:
        """Whether it is its host that is gone; looks, because nobody may have noticed yet."""
        state = await threads.deferToThread(self.farm.engines.look, worker.host.name)
        if not state.is_away or await self.tries() >= _MOST_TRIES:
            return False
        self.setProperty(LOST, worker.host.name, "kmodci")
        # a build that has begun to end is not asked for them again
        await self.master.data.updates.setBuildProperties(self.buildid, self)
        return True

    async def _after_fault(self, text: list[str]) -> tuple[int, list[str]]:
        """Result and text of a build that did not come to an end of its own: RETRY while it shall be tried again."""
        if self.impossible:
            return FAILURE, ["failed:", self.impossible]
        worker = self.workerforbuilder.worker
        if isinstance(worker, SandboxWorker) and await self._has_lost_host(worker):
            return RETRY, [f"host {worker.host.name} went away"]
        if isinstance(worker, SandboxWorker) and await worker.was_killed_for_memory():
            limits = self.farm.limits(self.build_id.partition("/")[0])
            cause = f"killed for memory: the limit is {limits.memory >> 20} MiB"
            await self.conclude(Status.FAILED, cause)
            return FAILURE, ["failed:", cause]
        tries = await self.tries() - await self._lost_hosts()
        fault = self.fault or " ".join(text)
        if tries >= TRIES and self.job is not None:
            reason = f"the farm failed it {tries} times: {fault}"
            await threads.deferToThread(self.farm.hold, self.job, reason)
            return EXCEPTION, [reason]
        # pauses this slot, longer each time: what is down is not helped by being asked at once
        worker.putInQuarantine()
        return RETRY, text
