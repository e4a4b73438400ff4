"""Latent workers for Buildbot 4.3.0: one sandbox per build, without a network, on whatever kind of host.

What differs from the stock classes, each for a reason that `docs/design.md` names: a password for one attachment, a
question now and then whether the worker lives, one round of the distributor per worker instead of one per (builder,
worker), and no quarantine longer than a minute. What a kind of host needs besides: `containers`, `podworkers`.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path

from buildbot.interfaces import IRenderable, LatentWorkerFailedToSubstantiate
from buildbot.process.build import Build
from buildbot.process.buildstep import BuildStep
from buildbot.process.properties import Properties
from buildbot.process.workerforbuilder import LatentWorkerForBuilder
from buildbot.util.twisted import async_to_deferred
from buildbot.worker.base import AbstractWorker
from buildbot.worker.latent import AbstractLatentWorker
from buildbot.worker.protocols.pb import Connection
from twisted.internet import defer, threads
from twisted.python import log
from zope.interface import implementer

from ..errors import KmodciError
from ..farm import Farm
from ..hosts import Host
from .bridge import Bridge
from .liveness import Liveness


@implementer(IRenderable)
class OneTimePassword:
    """What a worker's registration compares a login with; renewed, it forgets the one before."""

    def __init__(self) -> None:
        self.value = ""
        self.renew()

    def renew(self) -> str:
        self.value = secrets.token_urlsafe(24)
        return self.value

    def getRenderingFor(self, properties: Properties) -> defer.Deferred[str]:
        return defer.succeed(self.value)


class SandboxWorker(AbstractLatentWorker):
    """One slot of a build host. Comes before the stock class of its kind of host, in the list of a class's bases."""

    # Buildbot doubles a worker's pause after each fault, up to an hour: after a host has been
    # away, its workers would sleep on for as long.
    quarantine_max_timeout = 60
    farm: Farm
    host: Host
    _bridge: Bridge | None = None

    def __init__(self, name: str, password: None = None, **kwargs: object) -> None:
        self.one_time_password = OneTimePassword()
        super().__init__(name, password, **kwargs)

    @property
    def is_away(self) -> bool:
        """Whether its host does not answer, as far as is known."""
        return self.farm.engines.is_away(self.host.name)

    def canStartBuild(self) -> bool:
        return not self.is_away and bool(super().canStartBuild())

    def renderSecrets(self, *secrets: object) -> defer.Deferred[object]:
        # Buildbot renders a password once; ours is to be asked for at each login
        return defer.succeed(secrets[0] if len(secrets) == 1 else list(secrets))

    def worker_environment(self, socket: str) -> dict[str, str]:
        """What `workers/worker.py` reads, with a new password."""
        return {"KMODCI_SOCKET": socket, "WORKERNAME": self.name, "WORKERPASS": self.one_time_password.renew()}

    async def begin(self, build: Build) -> object:
        """Starts the sandbox, once the build's headers are at hand. Any exception means that it does not start."""
        raise NotImplementedError

    @async_to_deferred
    async def start_instance(self, build: Build) -> object:
        host = self.host.name
        try:
            await threads.deferToThread(self.farm.paths.empty_inputs, self.name)
            await build.find_headers(host)
            return await self.begin(build)
        except Exception as error:
            # asked at once, so that nothing else is sent there
            await threads.deferToThread(self.farm.engines.look, host)
            raise LatentWorkerFailedToSubstantiate(str(error)) from error

    async def put_inputs(self, files: Mapping[str, Path], step: BuildStep) -> None:
        """Has files among the inputs of the build that runs here. step: of that build. Raises KmodciError."""
        raise NotImplementedError

    def cut_bridge(self) -> None:
        """Ends the connection to the sandbox, if that goes over its host; says what a worker that never came said."""
        if self._bridge is not None:
            if self.conn is None and self._bridge.words:
                log.msg(f"{self.name} said at last: {self._bridge.words}", worker=self.name, host=self.host.name)
            self._bridge.cut()
            self._bridge = None

    @async_to_deferred
    async def attached(self, conn: Connection) -> None:
        # The one login that this password was for has been: nobody else can use it, even from
        # inside the container. No module's code has run yet.
        self.one_time_password.renew()
        Liveness(self.name, conn, self.master.reactor).start()
        await super().attached(conn)

    def ask_about_memory(self) -> bool:
        """In a thread: as `was_killed_for_memory`. Raises KmodciError."""
        raise NotImplementedError

    @async_to_deferred
    async def was_killed_for_memory(self) -> bool:
        """Whether the sandbox of this worker's running or last build ran out of memory."""
        try:
            killed = await threads.deferToThread(self.ask_about_memory)
        except KmodciError as error:
            log.msg(f"cannot ask why {self.name} was lost: {error}", worker=self.name)
            return False
        return killed

    def updateWorker(self) -> defer.Deferred[None]:
        # Stock: one round of the distributor per (builder, worker), and a stale entry hides a
        # builder that was removed and came back (https://github.com/buildbot/buildbot/issues/9135).
        added = False
        for builder in self.botmaster.getBuildersForWorker(self.name):
            known = self.workerforbuilders.get(builder.name)
            if known is None or known.builder is not builder:
                builder.workers.append(LatentWorkerForBuilder(self, builder))
                added = True
        if added:
            self.botmaster.maybeStartBuildsForWorker(self.name)
        return AbstractWorker.updateWorker(self)
