"""A Docker engine of a test's own, that may be restarted: the machine's is other people's too."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import docker
from support.authority import Authority
from support.farm import until


class OwnEngine:
    """`with OwnEngine() as engine:`; `engine.url` for `docker_host:`. In a network namespace of its own.

    Needs root. Its folder has a short name, because its sockets are in it.
    """

    def __init__(self, *, remote: "Remote | None" = None) -> None:
        """remote: at which it is to be reached from other machines as well."""
        self.folder = Path(tempfile.mkdtemp(prefix="kmodci-eng-", dir="/tmp"))
        self.url = f"unix://{self.folder}/docker.sock"
        self.address = remote.url if remote else self.url
        """as a farm reaches it"""
        self._remote = remote
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        at = self.folder
        with (at / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._remote.enter if self._remote else ("unshare", "--net")),
                    "dockerd", "--host", self.url, "--bridge", "none", "--iptables=false",
                    *(self._remote.arguments if self._remote else ()),
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

    def kill(self) -> None:
        """At once, as a machine that loses its power; returns when it is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(60)
        self._process = None

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """In this block it takes connections, and does not answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

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
        if self._remote is not None:
            self._remote.open()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            # it ends what ran when it was killed
            self.start()
        self.stop()
        for mount in (self.folder / "data", self.folder / "exec"):
            _unmount_below(mount)
        shutil.rmtree(self.folder)
        if self._remote is not None:
            self._remote.close()


class Remote:
    """A network namespace with an address that this one reaches, and a Docker port there with mutual TLS."""

    def __init__(self, number: int, authority: Authority) -> None:
        """number: 0 to 255, another for each that there is at the same time."""
        self._net = f"10.213.{number}"
        self.name = f"kmodci-{os.getpid()}-{number}"
        self._link = f"km{os.getpid() % 10**7}n{number}"
        self.url = f"tcp://{self._net}.2:2376"
        cert, key = authority.server(f"engine-{number}", f"{self._net}.2")
        self.arguments = (
            "--host", self.url, "--tlsverify", "--tlscacert", str(authority.ca),
            "--tlscert", str(cert), "--tlskey", str(key),
        )  # fmt: skip
        self.enter = ("nsenter", f"--net=/run/netns/{self.name}")

    def open(self) -> None:
        for words in (
            f"netns add {self.name}",
            f"link add {self._link} type veth peer name eth0 netns {self.name}",
            f"addr add {self._net}.1/30 dev {self._link}",
            f"link set {self._link} up",
            f"-n {self.name} addr add {self._net}.2/30 dev eth0",
            f"-n {self.name} link set eth0 up",
            f"-n {self.name} link set lo up",
        ):
            subprocess.run(["ip", *words.split()], check=True)

    def close(self) -> None:
        # the link goes with its other end
        subprocess.run(["ip", "netns", "del", self.name], check=True)


def _unmount_below(folder: Path) -> None:
    """An engine that was killed leaves its mounts."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in sorted(points, reverse=True):
        if f"{point}{os.sep}".startswith(f"{folder}{os.sep}"):
            subprocess.run(["umount", "--lazy", point], check=True)
