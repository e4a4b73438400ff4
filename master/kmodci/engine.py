"""The Docker engine: is it there, which images has it, load one, run one build, sweep what is ours."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import docker
import requests
import zstandard
from docker.errors import APIError, DockerException, NotFound

from .errors import EngineError
from .sandbox import LABEL, USER

# seconds without a byte from the engine
_PATIENCE = 120
# containers that this process runs to their end, whatever of a farm is opened anew meanwhile
_running: set[str] = set()
_starting = threading.Lock()
_FAULTS = (DockerException, requests.exceptions.RequestException)


class SandboxClient(docker.APIClient):
    """The Docker SDK's client, with what every container of a farm has and Buildbot cannot say.

    Buildbot's DockerLatentWorker knows neither user nor labels; everything else it passes on.
    """

    farm = ""

    def create_container(self, *args: object, **kwargs: object) -> dict[str, str]:
        made: dict[str, str] = super().create_container(*args, user=USER, labels={LABEL: self.farm}, **kwargs)
        return made

    def remove_container(self, container: str, **kwargs: object) -> None:
        """Returns when it is gone, also if it is somebody else who removes it now. Raises NotFound if it was gone."""
        try:
            super().remove_container(container, **kwargs)
        except APIError as error:
            if error.status_code != HTTPStatus.CONFLICT:
                raise
            with contextlib.suppress(NotFound):
                self.wait(container, condition="removed")


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine. Every method raises EngineError when the engine does not do as asked."""

    docker_host: str
    farm: str
    """names the farm whose containers may be swept"""

    def client(self, **arguments: object) -> SandboxClient:
        """A connection of its own, to be closed by the caller."""
        client = SandboxClient(**{"base_url": self.docker_host, "timeout": _PATIENCE, **arguments})
        client.farm = self.farm
        return client

    @contextlib.contextmanager
    def _ask(self, what: str, *, timeout: int = _PATIENCE) -> Iterator[SandboxClient]:
        client = None
        try:
            client = self.client(timeout=timeout)
            yield client
        except _FAULTS as error:
            raise EngineError(
                f"Docker engine {self.docker_host}: {what}: {error}",
                hint="is the engine running, and may this user use it? `docker info` tells",
            ) from error
        finally:
            if client is not None:
                client.close()

    def cores(self) -> int:
        """How many CPUs the engine has."""
        with self._ask("ask for its size") as client:
            return int(client.info()["NCPU"])

    def tags(self) -> frozenset[str]:
        """Every `repository:tag` that the engine has."""
        return frozenset(self.sizes())

    def containers(self) -> int:
        """How many containers this farm has, running or not."""
        with self._ask("list containers") as client:
            return len(client.containers(all=True, filters={"label": f"{LABEL}={self.farm}"}))

    def sizes(self) -> dict[str, int]:
        """The same, with bytes."""
        with self._ask("list images") as client:
            return {tag: int(image["Size"]) for image in client.images() for tag in image["RepoTags"] or []}

    def remove_image(self, tag: str) -> bool:
        """Takes an image away; one that is not there is no error. False if a container uses it."""
        with self._ask(f"remove image {tag}") as client:
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
        with self._ask(f"look at image {tag}") as client:
            return str(client.inspect_image(tag)["Id"])

    def load(self, archive: Path, tag: str) -> None:
        """Makes an image of a `.tar.zst` of a root file system."""
        repository, _, version = tag.rpartition(":")
        with self._ask(f"load image {tag}") as client, archive.open("rb") as compressed:
            stream = zstandard.ZstdDecompressor().stream_reader(compressed)
            answer = client.import_image_from_stream(stream, repository=repository, tag=version)
        if '"error"' in str(answer):
            raise EngineError(f"Docker engine {self.docker_host}: load image {tag}: {str(answer)[:300]}")

    def sweep(self, *, keep: Callable[[str], bool] = lambda _: False) -> int:
        """Removes this farm's containers, but for those that `run` of this process waits for. Returns how many went.

        keep: asked for the name of each container that there was, after all of them were looked up.
        """
        gone = 0
        with self._ask("remove old containers") as client:
            with _starting:
                found = client.containers(all=True, filters={"label": f"{LABEL}={self.farm}"})
            for container in found:
                if container["Id"] in _running or any(keep(name.lstrip("/")) for name in container["Names"] or []):
                    continue
                with contextlib.suppress(NotFound):
                    client.remove_container(container["Id"], v=True, force=True)
                    gone += 1
        return gone

    def killed_for_memory(self, name: str) -> bool:
        """Whether the container of that name was killed because it used too much memory."""
        with self._ask(f"look at container {name}") as client:
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
        volumes: list[str],
        host_config: dict[str, object],
        on_output: Callable[[bytes], None],
        on_error: Callable[[bytes], None],
        seconds: int,
    ) -> int | None:
        """Runs one container to its end and removes it. Returns its exit status; None if it took too long.

        on_output, on_error: called with what it prints, as it comes. seconds: wall time, then killed.
        """
        late = threading.Event()
        # a build may be silent for as long as it may run
        with self._ask(f"run {image}", timeout=seconds + _PATIENCE) as client:
            with _starting:
                container = client.create_container(
                    image,
                    list(command),
                    environment=environment,
                    volumes=[volume.split(":")[1] for volume in volumes],
                    host_config=client.create_host_config(binds=volumes, **host_config),
                )["Id"]
                _running.add(container)
            timer = threading.Timer(seconds, self._end_late, (container, late))
            try:
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
        with contextlib.suppress(EngineError), self._ask("end a container") as client:
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
