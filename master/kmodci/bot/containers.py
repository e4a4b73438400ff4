"""The sandboxes of a Docker engine: Buildbot's own latent worker for it, as a farm has it.

No network (the worker speaks to the master over a mounted socket, or through the engine: `engineend`), and the farm's
label on every container.
"""

from collections.abc import Mapping
from pathlib import Path

from buildbot.process.build import Build
from buildbot.process.buildstep import BuildStep
from buildbot.process.properties import Properties, Property, renderer
from buildbot.util.twisted import async_to_deferred
from buildbot.worker.docker import DockerLatentWorker
from buildbot.worker.protocols.pb import Connection
from docker.errors import NotFound
from twisted.internet import defer, threads
from twisted.python import log

from ..engine import Engine
from ..engineclient import SandboxClient
from ..farm import Farm
from ..hosts import Host
from ..sandbox import BUNDLE_MOUNT, SOCKET_MOUNT, SOCKET_NAME, Inputs, host_config, sent_config
from ..sending import volume_name
from ..workerbundle import worker_command
from .engineend import bridge
from .workers import SandboxWorker

# seconds; a container is made and begun within one, on an engine that is well
_PATIENCE = 60


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


class ContainerWorker(SandboxWorker, DockerLatentWorker):
    """`image` is the build's property; everything else is the farm's."""

    instance: dict[str, str] | None

    def checkConfig(self, name: str, password: None, farm: Farm, host: str) -> None:
        super().checkConfig(name, None, **_settings(name, farm, farm.engines.hosts[host]))

    def reconfigService(self, name: str, password: None, farm: Farm, host: str) -> defer.Deferred[None]:
        self.farm, self.host = farm, farm.engines.hosts[host]
        return super().reconfigService(name, self.one_time_password, **_settings(name, farm, self.host))

    @property
    def engine(self) -> Engine:
        return self.farm.engines[self.host.name]

    def _getDockerClient(self, client_args: dict[str, object]) -> SandboxClient:
        client = self.engine.client(timeout=_PATIENCE)
        client.opens_stdin = not self.host.same_machine
        return client

    def createEnvironment(self, build: Build | None = None) -> dict[str, str]:
        return self.worker_environment(f"{SOCKET_MOUNT}/{SOCKET_NAME}" if self.host.same_machine else "-")

    async def begin(self, build: Build) -> list[str]:
        """As `SandboxWorker.begin`."""
        image = build.getProperty("image")
        await threads.deferToThread(self.farm.has_image, image, self.host.name)
        bundle = await threads.deferToThread(self.farm.bundles.made, self.host.arch)
        stock = DockerLatentWorker.start_instance
        if self.host.same_machine:
            self.farm.paths.open_door(self.name, SOCKET_NAME)
            started: list[str] = await stock(self, build)
            return started
        try:
            await threads.deferToThread(self.engine.has_bundle, bundle, image)
            started = await stock(self, build)
            socket = self.farm.paths.socket(SOCKET_NAME)
            self._bridge = await bridge(self.engine, started[0], str(socket), self.master.reactor)
        except Exception:
            self.engine.forget_bundles()
            raise
        return started

    async def put_inputs(self, files: Mapping[str, Path], step: BuildStep) -> None:
        """As `SandboxWorker.put_inputs`."""
        if self.host.same_machine:
            for name, path in files.items():
                await threads.deferToThread(self.farm.paths.put_input, self.name, path, name)
        elif self.instance is not None:
            await threads.deferToThread(self.engine.send, self.instance["Id"], files)

    @async_to_deferred
    async def stop_instance(self, fast: bool = False) -> None:
        self.cut_bridge()
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

    def attached(self, conn: Connection) -> defer.Deferred[None]:
        # no module's code finds the socket: not to try passwords, nor to take the master's memory and open files
        # without one
        self.farm.paths.shut_door(self.name, SOCKET_NAME)
        return super().attached(conn)

    def ask_about_memory(self) -> bool:
        """As `SandboxWorker.ask_about_memory`."""
        return self.engine.killed_for_memory(self.getContainerName())
