"""Latent Docker workers for Buildbot 4.3.0: one sandbox per build, without a network.

What differs from the stock class, each for a reason that `docs/design.md` names:
no network (the worker speaks to the master over a mounted socket, or through the engine: `bridge`), a
password for one attachment, the farm's label on every container, a question now and then whether the
worker lives, one round of the distributor per worker instead of one per (builder, worker), and no
quarantine longer than a minute.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path

from buildbot.interfaces import IRenderable, LatentWorkerFailedToSubstantiate
from buildbot.process.build import Build
from buildbot.process.properties import Properties, Property, renderer
from buildbot.process.workerforbuilder import LatentWorkerForBuilder
from buildbot.util.twisted import async_to_deferred
from buildbot.worker.base import AbstractWorker
from buildbot.worker.docker import DockerLatentWorker
from buildbot.worker.protocols.pb import Connection
from docker.errors import NotFound
from twisted.internet import defer, threads
from twisted.python import log
from zope.interface import implementer

from ..engine import Engine
from ..engineclient import SandboxClient
from ..errors import KmodciError
from ..farm import Farm
from ..hosts import Host
from ..sandbox import BUNDLE_MOUNT, SOCKET_MOUNT, SOCKET_NAME, Inputs, host_config, sent_config
from ..sending import volume_name
from ..workerbundle import worker_command
from .bridge import Bridge, bridge
from .liveness import Liveness

# seconds; a container is made and begun within one, on an engine that is well
_PATIENCE = 60


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


def _settings(name: str, farm: Farm, host: Host) -> dict[str, object]:
    bundle, inputs, sockets = farm.bundles.place(host.arch), farm.paths.inputs(name), farm.paths.door(name)
    sent = {} if host.same_machine else sent_config(volume_name(farm.paths.farm_id(), bundle))

    @renderer
    def limits(properties: Properties) -> dict[str, object]:
        module, _, _ = str(properties.getProperty("virtual_builder_name")).partition("/")
        return host_config(farm.limits(module)) | sent

    @renderer
    def mounts(properties: Properties) -> list[str]:
        headers = getattr(properties.getBuild(), "headers", {})
        return Inputs(bundle=bundle, files=inputs, headers=headers, sockets=sockets).binds if host.same_machine else []

    return {
        "docker_host": host.docker_host,
        "image": Property("image"),
        "command": worker_command(BUNDLE_MOUNT),
        "volumes": mounts,
        "hostconfig": limits,
        "masterFQDN": "unix",
        "build_wait_timeout": 0,
        "check_instance_interval": 5,
        "missing_timeout": 120,
        "max_builds": 1,
    }


class SandboxWorker(DockerLatentWorker):
    """One slot of a build host. `image` is the build's property; everything else is the farm's."""

    # Buildbot doubles a worker's pause after each fault, up to an hour: after an engine has been
    # away, its workers would sleep on for as long.
    quarantine_max_timeout = 60

    def __init__(self, name: str, password: None = None, **kwargs: object) -> None:
        self.one_time_password = OneTimePassword()
        super().__init__(name, password, **kwargs)

    instance: dict[str, str] | None
    _bridge: Bridge | None = None

    def checkConfig(self, name: str, password: None, farm: Farm, host: str) -> None:
        super().checkConfig(name, None, **_settings(name, farm, farm.engines.hosts[host]))

    def reconfigService(self, name: str, password: None, farm: Farm, host: str) -> defer.Deferred[None]:
        self.farm, self.host = farm, farm.engines.hosts[host]
        return super().reconfigService(name, self.one_time_password, **_settings(name, farm, self.host))

    @property
    def engine(self) -> Engine:
        return self.farm.engines[self.host.name]

    @property
    def is_away(self) -> bool:
        """Whether its host does not answer, as far as is known."""
        return self.farm.engines.is_away(self.host.name)

    def canStartBuild(self) -> bool:
        return not self.is_away and bool(super().canStartBuild())

    def renderSecrets(self, *secrets: object) -> defer.Deferred[object]:
        # Buildbot renders a password once; ours is to be asked for at each login
        return defer.succeed(secrets[0] if len(secrets) == 1 else list(secrets))

    def _getDockerClient(self, client_args: dict[str, object]) -> SandboxClient:
        client = self.engine.client(timeout=_PATIENCE)
        client.opens_stdin = not self.host.same_machine
        return client

    def createEnvironment(self, build: Build | None = None) -> dict[str, str]:
        return {
            "KMODCI_SOCKET": f"{SOCKET_MOUNT}/{SOCKET_NAME}" if self.host.same_machine else "-",
            "WORKERNAME": self.name,
            "WORKERPASS": self.one_time_password.renew(),
        }

    @async_to_deferred
    async def start_instance(self, build: Build) -> list[str]:
        tag, host = build.getProperty("image"), self.host.name
        try:
            await threads.deferToThread(self.farm.supply.images.load, tag, host)
            bundle = await threads.deferToThread(self.farm.bundles.made, self.host.arch)
            await threads.deferToThread(self.farm.paths.empty_inputs, self.name)
            await build.find_headers(host)
            if self.host.same_machine:
                self.farm.paths.open_door(self.name, SOCKET_NAME)
                return await super().start_instance(build)
            await threads.deferToThread(self.engine.has_bundle, bundle, build.getProperty("image"))
            started: list[str] = await super().start_instance(build)
            socket = self.farm.paths.socket(SOCKET_NAME)
            self._bridge = await bridge(self.engine, started[0], str(socket), self.master.reactor)
        except Exception as error:
            # asked at once, so that nothing else is sent there
            await threads.deferToThread(self.farm.engines.look, host)
            self.engine.forget_bundles()
            raise LatentWorkerFailedToSubstantiate(str(error)) from error
        return started

    async def put_inputs(self, files: Mapping[str, Path]) -> None:
        """Has files among the inputs of the build that runs here. Raises KmodciError."""
        if self.host.same_machine:
            for name, path in files.items():
                await threads.deferToThread(self.farm.paths.put_input, self.name, path, name)
        elif self.instance is not None:
            await threads.deferToThread(self.engine.send, self.instance["Id"], files)

    @async_to_deferred
    async def stop_instance(self, fast: bool = False) -> None:
        if self._bridge is not None:
            if self.conn is None and self._bridge.words:
                log.msg(f"{self.name} said at last: {self._bridge.words}", worker=self.name, host=self.host.name)
            self._bridge.cut()
            self._bridge = None
        if self.is_away and self.instance is not None:
            # or a slot would wait for an engine that does not answer: the sweeper ends it when that is back
            self.instance = self._curr_client_args = None
            self.resetWorkerPropsOnStop()
            return
        await super().stop_instance(fast)

    def _image_exists(self, client: SandboxClient, name: str) -> bool:
        # `ImageSupply.load` has just seen to it; stock lists all images twice more
        return True

    def _thd_stop_instance(self, instance: dict[str, str], client_args: dict[str, object], fast: bool) -> None:
        # In a thread. Stock asks the worker to end, waits for that, and then removes the container: three times the
        # work, to be polite to a process that has nothing left to do.
        client = self._getDockerClient(client_args)
        try:
            client.remove_container(instance["Id"], v=True, force=True)
        except NotFound:
            log.msg(f"container {instance['Id'][:6]} is gone already")
        finally:
            client.close()

    @async_to_deferred
    async def attached(self, conn: Connection) -> None:
        # The one login that this password was for has been: nobody else can use it, even from
        # inside the container. No module's code has run yet, and none finds the socket: not to try passwords, nor to
        # take the master's memory and open files without one.
        self.one_time_password.renew()
        self.farm.paths.shut_door(self.name, SOCKET_NAME)
        Liveness(self.name, conn, self.master.reactor).start()
        await super().attached(conn)

    @async_to_deferred
    async def was_killed_for_memory(self) -> bool:
        """Whether the container of this worker's running or last build ran out of memory."""
        try:
            killed = await threads.deferToThread(self.engine.killed_for_memory, self.getContainerName())
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
