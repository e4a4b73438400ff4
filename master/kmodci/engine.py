"""The Docker engine: is it there, which images has it, load one, run one build, sweep what is ours."""

import contextlib
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Literal

import requests
import zstandard
from docker.errors import APIError, DockerException, NotFound
from docker.tls import TLSConfig

from .distros import BUILD_ARCH
from .engineclient import SandboxClient, hint, words
from .errors import EngineError
from .hosts import Answer, Tls
from .sandbox import LABEL, Inputs, sent_config
from .sending import bundle_filler, fill_bundle, send_inputs, volume_name
from .tunnel import tunnel

# seconds without a byte from the engine
_PATIENCE = 120
# the same for what takes an engine that is well no time
_QUICK = 30
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
# containers that this process runs to their end, whatever of a farm is opened anew meanwhile
_running: set[str] = set()
_starting = threading.Lock()
# by engine: a worker bundle is sent once
_sending: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
_FAULTS = (DockerException, requests.exceptions.RequestException)


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine. Every method raises EngineError when the engine does not do as asked."""

    docker_host: str
    farm: str
    """names the farm whose containers may be swept"""
    tls: Tls | None = None
    same_machine: bool = True
    """whether containers see the master's files by mounting them; else they are sent"""
    _bundles: set[str] = field(default_factory=set, compare=False)
    """the volumes of worker bundles that are known to be there"""

    def client(self, **arguments: object) -> SandboxClient:
        """A connection of its own, to be closed by the caller."""
        known = {"base_url": self.reached_at, "timeout": _PATIENCE, "tls": self._tls_config()}
        client = SandboxClient(**{**known, **arguments})
        client.farm = self.farm
        return client

    @property
    def reached_at(self) -> str:
        """Its address for a connection: `unix://` or `tcp://`."""
        return tunnel(self.docker_host) if self.docker_host.startswith("ssh:") else self.docker_host

    def _tls_config(self) -> TLSConfig | Literal[False]:
        if self.tls is None:
            return False
        mine = (str(self.tls.cert), str(self.tls.key))
        return TLSConfig(client_cert=mine, ca_cert=str(self.tls.ca), verify=True)

    @contextlib.contextmanager
    def asking(self, what: str, *, timeout: int = _QUICK) -> Iterator[SandboxClient]:
        """A connection for one block, whose faults are EngineErrors. what: is done, in words; timeout: seconds."""
        client = None
        try:
            client = self.client(timeout=timeout)
            yield client
        except _FAULTS as error:
            raise EngineError(f"Docker engine {self.docker_host}: {what}: {words(error)}", hint=hint(error)) from error
        finally:
            if client is not None:
                client.close()

    def look(self, *, timeout: int = _QUICK) -> Answer:
        """Asks it how it is."""
        with self.asking("ask how it is", timeout=timeout) as client:
            info = client.info()
            arch = _MACHINES.get(str(info["Architecture"]), str(info["Architecture"]))
            if arch != BUILD_ARCH:
                raise EngineError(f"Docker engine {self.docker_host} runs on {arch}, and builds run on {BUILD_ARCH}")
            tags = frozenset(tag for image in client.images() for tag in image["RepoTags"] or [])
            return Answer(images=tags, cores=int(info["NCPU"]), version=str(info["ServerVersion"]))

    def cores(self) -> int:
        """How many CPUs the engine has."""
        with self.asking("ask for its size") as client:
            return int(client.info()["NCPU"])

    def tags(self) -> frozenset[str]:
        """Every `repository:tag` that the engine has."""
        return frozenset(self.sizes())

    def sizes(self) -> dict[str, int]:
        """The same, with bytes."""
        with self.asking("list images") as client:
            return {tag: int(image["Size"]) for image in client.images() for tag in image["RepoTags"] or []}

    def containers(self) -> int:
        """How many containers this farm has, running or not."""
        with self.asking("list containers") as client:
            return len(client.containers(all=True, filters={"label": f"{LABEL}={self.farm}"}))

    def remove_image(self, tag: str) -> bool:
        """Takes an image away; one that is not there is no error. False if a container uses it."""
        with self.asking(f"remove image {tag}") as client:
            try:
                client.remove_image(tag)
            except NotFound:
                return True
            except APIError as error:
                if error.status_code != HTTPStatus.CONFLICT:
                    raise
                return False
            return True

    def image_id(self, tag: str) -> str:
        """The engine's own digest of an image (`sha256:...`)."""
        with self.asking(f"look at image {tag}") as client:
            return str(client.inspect_image(tag)["Id"])

    def load(self, archive: Path, tag: str) -> None:
        """Makes an image of a `.tar.zst` of a root file system."""
        repository, _, version = tag.rpartition(":")
        with self.asking(f"load image {tag}", timeout=_PATIENCE) as client, archive.open("rb") as compressed:
            stream = zstandard.ZstdDecompressor().stream_reader(compressed)
            answer = client.import_image_from_stream(stream, repository=repository, tag=version)
        if '"error"' in str(answer):
            raise EngineError(f"Docker engine {self.docker_host}: load image {tag}: {str(answer)[:300]}")

    def sweep(self, *, keep: Callable[[str], bool] = lambda _: False, bundle: Path | None = None) -> int:
        """Removes this farm's containers, but for those that `run` of this process waits for. Returns how many went.

        keep: asked for the name of each container that there was, after all of them were looked up; bundle: whose
        volume stays, of those of worker bundles.
        """
        gone = 0
        with self.asking("remove old containers") as client:
            with _starting:
                found = client.containers(all=True, filters={"label": f"{LABEL}={self.farm}"})
            for container in found:
                if container["Id"] in _running or any(keep(name.lstrip("/")) for name in container["Names"] or []):
                    continue
                with contextlib.suppress(NotFound):
                    client.remove_container(container["Id"], v=True, force=True)
                    gone += 1
            self._sweep_volumes(client, bundle)
        return gone

    def _sweep_volumes(self, client: SandboxClient, bundle: Path | None) -> None:
        for volume in client.volumes(filters={"label": f"{LABEL}={self.farm}"})["Volumes"] or []:
            name = volume["Name"]
            if bundle is not None and name == volume_name(self.farm, bundle):
                continue
            self._bundles.discard(name)
            try:
                client.remove_volume(name)
            except APIError as error:
                # a container has it, or it is gone
                if error.status_code not in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND):
                    raise

    def has_bundle(self, bundle: Path, image: str) -> str:
        """Has the worker bundle in a volume of the engine, and returns its name. image: any that the engine has."""
        name = volume_name(self.farm, bundle)
        with _sending[self.docker_host]:
            if name in self._bundles:
                return name
            with self.asking("send the worker bundle", timeout=_PATIENCE) as client, contextlib.ExitStack() as stack:
                with _starting:
                    container = stack.enter_context(bundle_filler(client, image, bundle))
                    _running.add(container)
                stack.callback(_running.discard, container)
                fill_bundle(client, container, bundle)
            self._bundles.add(name)
        return name

    def forget_bundles(self) -> None:
        """They are looked for again: the engine may not be what it was."""
        self._bundles.clear()

    def send(self, container: str, files: Mapping[str, Path]) -> None:
        """Puts files into the inputs of a container, which may be running."""
        with self.asking("send the inputs of a build", timeout=_PATIENCE) as client:
            send_inputs(client, container, files)

    def killed_for_memory(self, name: str) -> bool:
        """Whether the container of that name was killed because it used too much memory."""
        with self.asking(f"look at container {name}") as client:
            try:
                return bool(client.inspect_container(name)["State"].get("OOMKilled"))
            except NotFound:
                return False

    def run(
        self,
        *,
        image: str,
        command: Sequence[str],
        environment: dict[str, str],
        inputs: Inputs,
        host_config: dict[str, object],
        on_output: Callable[[bytes], None],
        on_error: Callable[[bytes], None],
        seconds: int,
    ) -> int | None:
        """Runs one container to its end and removes it. Returns its exit status; None if it took too long.

        on_output, on_error: called with what it prints, as it comes. seconds: wall time, then killed.
        """
        late = threading.Event()
        binds = inputs.binds if self.same_machine else []
        sent = {} if self.same_machine else sent_config(self.has_bundle(inputs.bundle, image))
        # a build may be silent for as long as it may run
        with self.asking(f"run {image}", timeout=seconds + _PATIENCE) as client:
            with _starting:
                container = client.create_container(
                    image,
                    list(command),
                    environment=environment,
                    volumes=[bind.split(":")[1] for bind in binds],
                    host_config=client.create_host_config(binds=binds, **host_config, **sent),
                )["Id"]
                _running.add(container)
            timer = threading.Timer(seconds, self._end_late, (container, late))
            try:
                if sent:
                    send_inputs(client, container, {path.name: path for path in inputs.files.iterdir()})
                output = client.attach(container, stream=True, demux=True)
                with _signals_held():
                    timer.start()
                client.start(container)
                for out, err in output:
                    if out:
                        on_output(out)
                    if err:
                        on_error(err)
                status = int(client.wait(container)["StatusCode"])
                return None if late.is_set() else status
            finally:
                timer.cancel()
                _running.discard(container)
                with contextlib.suppress(APIError):
                    client.remove_container(container, v=True, force=True)

    def _end_late(self, container: str, late: threading.Event) -> None:
        late.set()
        with contextlib.suppress(EngineError), self.asking("end a container") as client:
            client.kill(container)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """A thread that is started meanwhile never takes a signal.

    Of two that come at once it might take both; the main thread's wait is then begun again by the kernel (signal(7),
    "Interruption of system calls"), and Python does not get to look at them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
