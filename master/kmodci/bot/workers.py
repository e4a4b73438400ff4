"""Latent Docker workers for Buildbot 4.3.0: one sandbox per build, reached over a unix socket.

What differs from the stock class, each for a reason that `docs/design.md` names:
no network (the worker speaks to the master over a mounted socket), a password for one attachment,
the farm's label on every container, a question now and then whether the worker lives, one round of
the distributor per worker instead of one per (builder, worker), and no quarantine longer than a minute.
"""

import secrets

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

from ..engine import SandboxClient
from ..errors import KmodciError
from ..farm import Farm
from ..sandbox import BUNDLE_MOUNT, SOCKET_MOUNT, SOCKET_NAME, host_config, volumes
from ..workerbundle import worker_command
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


def _settings(name: str, farm: Farm) -> dict[str, object]:
    @renderer
    def limits(properties: Properties) -> dict[str, object]:
        module, _, _ = str(properties.getProperty("virtual_builder_name")).partition("/")
        return host_config(farm.limits(module))

    bundle, inputs, sockets = farm.worker_bundle, farm.paths.inputs(name), farm.paths.sockets

    @renderer
    def mounts(properties: Properties) -> list[str]:
        headers = getattr(properties.getBuild(), "headers", {})
        return volumes(bundle=bundle, inputs=inputs, headers=headers, sockets=sockets)

    return {
        "docker_host": farm.settings.engine.docker_host,
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
    """One slot of a Docker engine. `image` is the build's property; everything else is the farm's."""

    # Buildbot doubles a worker's pause after each fault, up to an hour: after an engine has been
    # away, its workers would sleep on for as long.
    quarantine_max_timeout = 60

    def __init__(self, name: str, password: None = None, **kwargs: object) -> None:
        self.one_time_password = OneTimePassword()
        super().__init__(name, password, **kwargs)

    def checkConfig(self, name: str, password: None, farm: Farm) -> None:
        super().checkConfig(name, None, **_settings(name, farm))

    def reconfigService(self, name: str, password: None, farm: Farm) -> defer.Deferred[None]:
        self.farm = farm
        return super().reconfigService(name, self.one_time_password, **_settings(name, farm))

    def renderSecrets(self, *secrets: object) -> defer.Deferred[object]:
        # Buildbot renders a password once; ours is to be asked for at each login
        return defer.succeed(secrets[0] if len(secrets) == 1 else list(secrets))

    def _getDockerClient(self, client_args: dict[str, object]) -> SandboxClient:
        return self.farm.engine.client(**client_args)

    def createEnvironment(self, build: Build | None = None) -> dict[str, str]:
        return {
            "KMODCI_SOCKET": f"{SOCKET_MOUNT}/{SOCKET_NAME}",
            "WORKERNAME": self.name,
            "WORKERPASS": self.one_time_password.renew(),
        }

    @async_to_deferred
    async def start_instance(self, build: Build) -> list[str]:
        tag = build.getProperty("image")
        try:
            await threads.deferToThread(self.farm.supply.load_image, tag)
            await threads.deferToThread(self.farm.paths.empty_inputs, self.name)
        except KmodciError as error:
            raise LatentWorkerFailedToSubstantiate(str(error)) from error
        await build.find_headers()
        return await super().start_instance(build)

    def _image_exists(self, client: SandboxClient, name: str) -> bool:
        # `load_image` has just seen to it; stock lists all images twice more
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
        # inside the container.
        self.one_time_password.renew()
        Liveness(self.name, conn, self.master.reactor).start()
        await super().attached(conn)

    @async_to_deferred
    async def was_killed_for_memory(self) -> bool:
        """Whether the container of this worker's running or last build ran out of memory."""
        try:
            killed = await threads.deferToThread(self.farm.engine.killed_for_memory, self.getContainerName())
        except KmodciError as error:
            log.msg(f"cannot ask why {self.name} was lost: {error}")
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
