"""The sandboxes of a Kubernetes cluster: Buildbot's own latent worker for it, as a farm has it.

Its worker speaks to the master through the cluster's API (`podend`), and gets a build's inputs by that connection. What
the API is asked for goes through `Cluster`: Buildbot 4.3.0 can trust a cluster's own authority only with txrequests,
which nobody keeps any more (treq, which it falls back on, is not told of it), and says `graceperiod` where the API
knows `gracePeriodSeconds`. See https://github.com/buildbot/buildbot/blob/v4.3.0/master/buildbot/worker/kubernetes.py.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path

from buildbot.process.build import Build
from buildbot.process.buildstep import BuildStep
from buildbot.process.remotetransfer import FileReader
from buildbot.util.kubeclientservice import KubeHardcodedConfig
from buildbot.util.twisted import async_to_deferred
from buildbot.worker.kubernetes import KubeLatentWorker
from twisted.internet import defer, task, threads
from twisted.python import log
from twisted.python.failure import Failure

from ..cluster import Cluster
from ..errors import EngineError
from ..farm import Farm
from ..hosts import Host
from ..pods import Pod
from ..sandbox import INPUT_MOUNT, SOCKET_NAME
from .command import Download
from .podend import bridge
from .workers import SandboxWorker

# seconds until a pod runs: a node may have to be added first, and to fetch the image
_PATIENCE = 600
# the same, of a node that was told no when it asked for an image
_IMAGE_PATIENCE = 120
_LOOK_EVERY, _LOOK_RARELY, _SOON = 0.5, 5.0, 10.0
_BLOCK = 256 << 10
"""bytes of a file that are sent at once"""


def _settings(name: str, farm: Farm, host: Host) -> dict[str, object]:
    at = farm.engines.clusters[host.name].at
    return {
        "namespace": at.namespace,
        # for Buildbot's own requests, of which there are none; as a service it has to have a name of its own
        "kube_config": KubeHardcodedConfig(name=f"kubernetes-{name}", master_url=at.server, namespace=at.namespace),
        "masterFQDN": "unix",
        "build_wait_timeout": 0,
        "check_instance_interval": 5,
        # `_join` says why before that
        "missing_timeout": _PATIENCE + 60,
        "max_builds": 1,
    }


class PodWorker(SandboxWorker, KubeLatentWorker):
    """`image` is the build's property; everything else is the farm's."""

    _serial = ""
    _fault = ""
    """why the pod of now will not be joined"""
    _joining: defer.Deferred[None] = defer.succeed(None)

    def checkConfig(self, name: str, password: None, farm: Farm, host: str) -> None:
        super().checkConfig(name, **_settings(name, farm, farm.engines.hosts[host]))

    def reconfigService(self, name: str, password: None, farm: Farm, host: str) -> defer.Deferred[None]:
        self.farm, self.host = farm, farm.engines.hosts[host]
        return super().reconfigService(name, password=self.one_time_password, **_settings(name, farm, self.host))

    @property
    def cluster(self) -> Cluster:
        return self.farm.engines.clusters[self.host.name]

    @async_to_deferred
    async def getPodSpec(self, build: Build) -> dict[str, str]:
        """What decides whether a pod fits a build. What the API is asked for is made of it when that is asked."""
        return {"image": build.getProperty("image"), "build": build.getProperty("virtual_builder_name")}

    def getContainerName(self) -> str:
        # a name for each: a pod is gone some ten seconds after it has ended, and what comes next would wait for that
        return f"{super().getContainerName()}{self._serial}"

    async def begin(self, build: Build) -> bool:
        """As `SandboxWorker.begin`; the pod runs later, when a node has room for it and its image."""
        await KubeLatentWorker.start_instance(self, build)
        self._fault = ""
        # not waited for here: until this has returned nothing can stop the worker, and so not the master either
        self._joining = defer.ensureDeferred(self._join(self.getContainerName()))
        self._joining.addErrback(self._note_fault)
        # which Buildbot has begun before the headers and the image were there
        self.startMissingTimer()
        return True

    async def _join(self, name: str) -> None:
        reactor = self.master.reactor
        begun = told_no = reactor.seconds()
        while not (found := await self._looked_at(name)).is_running:
            now = reactor.seconds()
            if not found.lacks_image:
                told_no = now
            if found.is_hopeless or now > begun + _PATIENCE or now > told_no + _IMAGE_PATIENCE:
                self.cluster.note_refusal(f"pod {name} does not run: {found.words}")
                raise EngineError(f"it does not run: {found.words}")
            # one that waits for a node waits for minutes
            await task.deferLater(reactor, _LOOK_EVERY if now < begun + _SOON else _LOOK_RARELY)
        socket = self.farm.paths.socket(SOCKET_NAME)
        self._bridge = await bridge(self.cluster.api, name, str(socket), reactor)

    async def _looked_at(self, name: str) -> Pod:
        """Raises EngineError if it is gone. What the API does not answer now it may answer the next time."""
        try:
            found = await threads.deferToThread(self.cluster.pod, name)
        except EngineError as error:
            log.msg(f"{self.name}: asked again: {error.brief}", worker=self.name, host=self.host.name)
            return Pod()
        if found is None:
            raise EngineError("it was removed before it ran")
        return found

    def _note_fault(self, failure: Failure) -> None:
        """For `check_instance`, which tells it."""
        if not failure.check(defer.CancelledError):
            self._fault = str(failure.value)

    @async_to_deferred
    async def _create_pod(self, namespace: str, spec: dict[str, str]) -> None:
        await threads.deferToThread(self._ask_for_pod, spec["image"], spec["build"].partition("/")[0])

    def _ask_for_pod(self, tag: str, module: str) -> None:
        self._serial = f"-{secrets.token_hex(4)}"
        image = self.farm.registry.reference(tag)
        environment = {**self.worker_environment("-"), "KMODCI_POD": "1"}
        limits = self.farm.limits(module)
        self.cluster.create(self.getContainerName(), image=image, limits=limits, environment=environment)

    @async_to_deferred
    async def _delete_pod(self, namespace: str, name: str, graceperiod: int = 0) -> None:
        if not self.is_away:
            # else a slot would wait for a cluster that does not answer: the sweeper ends it when that is back
            await threads.deferToThread(self.cluster.remove, name)

    @async_to_deferred
    async def _wait_for_pod_deletion(self, namespace: str, name: str, timeout: float) -> None:
        """Nothing waits for that: see `getContainerName`."""

    @async_to_deferred
    async def stop_instance(self, fast: bool = False, reportFailure: bool = True) -> None:
        self._joining.cancel()
        self.cut_bridge()
        await super().stop_instance(fast, reportFailure)

    @async_to_deferred
    async def check_instance(self) -> tuple[bool, str]:
        """Asked while the worker has not come: whether it still may, and how it stands."""
        name = self.getContainerName()
        try:
            found = await threads.deferToThread(self.cluster.pod, name)
        except EngineError as error:
            # says nothing of the pod, as long as it is no more than that
            return not (self._fault or self.is_away), self._fault or error.brief
        if self.conn is not None:
            # while it was asked
            return True, ""
        if found is None:
            return False, f"pod {name} is gone"
        if found.reaches_network:
            self.cluster.note_open(found)
            await threads.deferToThread(self.farm.engines.look, self.host.name)
        return not (found.has_ended or self._fault), f"pod {name}: {self._fault or found.words}"

    async def put_inputs(self, files: Mapping[str, Path], step: BuildStep) -> None:
        """As `SandboxWorker.put_inputs`."""
        for name, path in files.items():
            with path.open("rb") as file:
                command = Download(
                    "downloadFile",
                    {
                        "workdir": INPUT_MOUNT,
                        "workerdest": name,
                        "reader": FileReader(file),
                        "maxsize": None,
                        "blocksize": _BLOCK,
                        "mode": 0o644,
                    },
                )
                await step.runCommand(command)
            if command.didFail():
                raise EngineError(f"{self.name} did not take {name}", hint="has its pod room for it? limits: memory")

    def ask_about_memory(self) -> bool:
        """As `SandboxWorker.ask_about_memory`."""
        return self.cluster.killed_for_memory(self.getContainerName())
