"""A Docker engine of a test's own, that may be restarted: the machine's is other people's too."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import docker
from support.farm import until


class OwnEngine:
    """`with OwnEngine() as engine:`; `engine.url` for `docker_host:`. In a network namespace of its own.

    Needs root. Its folder has a short name, because its sockets are in it.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kmodci-eng-", dir="/tmp"))
        self.url = f"unix://{self.folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        at = self.folder
        with (at / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "unshare", "--net", "dockerd", "--host", self.url, "--bridge", "none", "--iptables=false",
                    "--data-root", str(at / "data"), "--exec-root", str(at / "exec"), "--pidfile", str(at / "pid"),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until(self._answers, told=lambda: (at / "log").read_text()[-3000:])

    def stop(self) -> None:
        """Returns when it is gone, with its containers."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)
        self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It is away in this block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def has_images_of(self, other: str, tags: list[str]) -> None:
        """Copies images from another engine."""
        source, target = docker.APIClient(base_url=other), docker.APIClient(base_url=self.url)
        for tag in tags:
            for _ in target.load_image(source.get_image(tag)):
                pass
        source.close()
        target.close()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()[-3000:]
        try:
            client = docker.APIClient(base_url=self.url, timeout=5)
            client.ping()
            client.close()
        except (docker.errors.DockerException, OSError):
            return False
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.stop()
        for mount in (self.folder / "data", self.folder / "exec"):
            _unmount_below(mount)
        shutil.rmtree(self.folder)


def _unmount_below(folder: Path) -> None:
    """An engine that was killed leaves its mounts."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in sorted(points, reverse=True):
        if point.startswith(f"{folder}{os.sep}"):
            subprocess.run(["umount", "--lazy", point], check=True)
