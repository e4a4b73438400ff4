"""The proxy in front of the real engine: a farm builds through it, and who has its socket gets no further than that."""

import contextlib
import io
import json
import secrets
import signal
import socket
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import zstandard
from benchmarks.aptrepo import AptRepo
from docker.errors import APIError, NotFound
from kmodci.engine import Engine
from kmodci.model import Status
from kmodci.sandbox import LABEL, Limits, host_config, sent_config
from support.containers import toolchain_image
from support.farm import ENGINE, TARGET, Command, LiveFarm, gated, live_farm, source, until
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(600)]

LIMITS = Limits(memory=128 << 20, disk=64 << 20, processes=64, seconds=60, output=1 << 20)


@pytest.fixture(scope="module")
def repo(repo: AptRepo, publish: Callable[..., None]) -> AptRepo:
    publish(repo, "old")
    return repo


class Proxied:
    """A proxy in a folder, for one farm."""

    def __init__(self, folder: Path, farm: str) -> None:
        self.farm, self.socket = farm, folder / "docker.sock"
        self.url = f"unix://{self.socket}"
        self.command = Command(
            ["engine-proxy", "--listen", self.url, "--engine", ENGINE, "--farm", farm], folder / "words"
        )
        self.command.await_words("listening at")

    @property
    def refused(self) -> list[str]:
        return [line for line in self.command.said.splitlines() if "refused:" in line or "failed:" in line]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Proxied]]:
    made: list[Proxied] = []

    def start(farm: str) -> Proxied:
        made.append(Proxied(tmp_path, farm))
        return made[-1]

    yield start
    for each in made:
        if each.command.running:
            each.command.kill()


@pytest.fixture
def proxied(start: Callable[[str], Proxied]) -> Proxied:
    """Of a farm that nobody has."""
    return start(secrets.token_hex(8))


@pytest.fixture
def real() -> Iterator[docker.APIClient]:
    """The engine itself."""
    client = docker.APIClient(base_url=ENGINE)
    yield client
    client.close()


@pytest.fixture
def image(proxied: Proxied, tmp_path: Path) -> Iterator[str]:
    """A small one, which came through the proxy."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in ("in", "kmodci", "build"):
            folder = tarfile.TarInfo(name)
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
    archive, tag = tmp_path / "root.tar.zst", f"kmodci/toolchain-none:{proxied.farm}"
    archive.write_bytes(zstandard.compress(content.getvalue()))
    engine = Engine(proxied.url, farm=proxied.farm, same_machine=False)
    engine.load(archive, tag)
    assert tag in engine.tags()
    assert proxied.refused == []
    yield tag
    assert Engine(ENGINE, farm=proxied.farm).remove_image(tag)


def test_a_farm_builds_and_publishes_through_it(
    folder: Path, repo: AptRepo, kernels: dict[str, RealKernel], start: Callable[[str], Proxied], tmp_path: Path
) -> None:
    host = {"docker_host": f"unix://{tmp_path}/docker.sock", "same_machine": False, "workers": 1}
    toolchain_image(kernels["old"].toolchain, "bookworm")
    with live_farm(folder, repo, {"hello": source("hello")}, hosts={"behind": host}) as farm:
        proxied = start(farm.paths.farm_id())
        build(farm, f"hello/{TARGET}/{kernels['old'].release}", tmp_path)
        assert farm.containers() == {}
    assert proxied.refused == [], "of what a farm needs"


def build(farm: LiveFarm, build_id: str, folder: Path) -> None:
    """By the farm, and by hand."""
    up = farm.up("--once")
    assert up.end(seconds=300) == 0, f"{up.said}\n{farm.told()}"
    outcome = farm.outcome(build_id)
    assert outcome is not None
    assert outcome.status is Status.BUILT, outcome.cause
    with farm.s3_server.available():
        assert [file.name for file in farm.manifest(outcome).files] == ["hello.ko"]
    by_hand = farm.kmodci("build", build_id, "--output", str(folder / "out"))
    assert by_hand.end() == 0, by_hand.said
    assert (folder / "out" / "hello.ko").exists()


def test_a_farm_outlives_it(
    folder: Path, repo: AptRepo, kernels: dict[str, RealKernel], start: Callable[[str], Proxied], tmp_path: Path
) -> None:
    build_id = f"first/{TARGET}/{kernels['old'].release}"
    host = {"docker_host": f"unix://{tmp_path}/docker.sock", "same_machine": False, "workers": 1}
    with live_farm(folder / "outlives", repo, {"first": gated()}, hosts={"behind": host}) as farm:
        proxied = start(farm.paths.farm_id())
        farm.up()
        farm.await_running(1, seconds=240)
        proxied.command.kill()
        farm.until(lambda: "host behind is away" in farm.log)
        start(farm.paths.farm_id())
        farm.until(lambda: "host behind is back" in farm.log)
        farm.until(lambda: farm.open_gates() or farm.outcome(build_id), seconds=240)
        farm.await_built(build_id)
        # what the first try left is gone as well
        farm.until(lambda: not farm.containers())


@contextlib.contextmanager
def somebodys(real: docker.APIClient, image: str, labels: dict[str, str]) -> Iterator[str]:
    """A container of somebody else's, which never runs."""
    container = real.create_container(image, ["/nothing"], labels=labels)["Id"]
    try:
        yield container
    finally:
        real.remove_container(container, v=True)


def test_other_peoples_containers_and_volumes_are_out_of_reach(
    proxied: Proxied, real: docker.APIClient, image: str
) -> None:
    engine = Engine(proxied.url, farm=proxied.farm, same_machine=False)
    with contextlib.closing(engine.client()) as client:
        for labels in ({}, {LABEL: secrets.token_hex(8)}):
            with somebodys(real, image, labels) as theirs:
                name = real.inspect_container(theirs)["Name"].lstrip("/")
                for of in (theirs, theirs[:12], name):
                    for attack in (
                        client.inspect_container, client.start, client.kill, client.remove_container, client.attach,
                        lambda of: client.put_archive(of, "/in", b""), lambda of: client.get_archive(of, "/in"),
                    ):  # fmt: skip
                        refused(attack, of)
                assert client.containers(all=True) == []
                assert client.volumes()["Volumes"] == []
                assert real.inspect_container(theirs)["State"]["Status"] == "created"
        volume = f"kmodci-{proxied.farm}-theirs"
        real.create_volume(volume)
        try:
            refused(client.remove_volume, volume)
            refused(client.create_container, image, ["x"], host_config=sandbox(client, volume))
        finally:
            real.remove_volume(volume)


def sandbox(client: docker.APIClient, volume: str, **more: Any) -> dict[str, Any]:
    made = client.create_host_config(**{**host_config(LIMITS), **sent_config(volume)})
    return {**made, **more}


def refused(attack: Callable[..., Any], *arguments: Any, **more: Any) -> None:
    with pytest.raises(APIError) as caught:
        attack(*arguments, **more)
    assert caught.value.status_code == 403, caught.value
    assert "engine proxy: " in str(caught.value)


def test_a_container_is_a_sandbox_or_none(proxied: Proxied, real: docker.APIClient, image: str) -> None:
    engine = Engine(proxied.url, farm=proxied.farm, same_machine=False)
    with contextlib.closing(engine.client()) as client:
        volume = f"kmodci-{proxied.farm}-worker-0"
        client.create_volume(volume, labels={LABEL: proxied.farm})
        for more in (
            {"Privileged": True}, {"privileged": True}, {"Binds": ["/:/host"]}, {"NetworkMode": "host"},
            {"PidMode": "host"}, {"CapAdd": ["SYS_ADMIN"]}, {"SecurityOpt": ["seccomp=unconfined"]}, {"Memory": 0},
            {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/in"}]},
            {"Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rwm"}]},
        ):  # fmt: skip
            refused(client.create_container, image, ["x"], host_config=sandbox(client, volume, **more))
        refused(client.create_container, "debian:12", ["x"], host_config=sandbox(client, volume))
        container = client.create_container(image, ["/nothing"], host_config=sandbox(client, volume))["Id"]
        try:
            made = real.inspect_container(container)
            assert {name: made["HostConfig"][name] for name in ("NetworkMode", "CapDrop", "ReadonlyRootfs")} == {
                "NetworkMode": "none", "CapDrop": ["ALL"], "ReadonlyRootfs": True,
            }  # fmt: skip
            assert (made["Config"]["User"], made["Config"]["Labels"]) == ("65534:65534", {LABEL: proxied.farm})
            for attack in (client.commit, lambda of: [*client.export(of)], client.top, client.diff, client.logs):
                refused(attack, container)
            refused(client.exec_create, container, ["x"])
            refused(client.put_archive, container, "/etc", b"")
        finally:
            assert engine.sweep() == 1
    with pytest.raises(NotFound):
        real.inspect_container(container)
    with pytest.raises(NotFound):
        real.inspect_volume(volume)


def test_the_engine_itself_is_out_of_reach(proxied: Proxied) -> None:
    with contextlib.closing(docker.APIClient(base_url=proxied.url)) as client:
        for attack in (
            client.networks, client.nodes, client.plugins, client.df, client.prune_containers, client.prune_images,
            client.prune_volumes, client.init_swarm, client.secrets,
        ):  # fmt: skip
            refused(attack)
        refused(client.pull, "debian", "12")
        refused(client.create_network, "x")
        refused(lambda: [*client.get_image("debian:12")])
        refused(client.inspect_image, "debian:12")
        refused(client.remove_image, "debian:12")
        # what the farm itself, and this proxy, may run from
        refused(client.import_image_from_data, b"", repository="kmodci/master", tag="local")
        refused(client.remove_image, "kmodci/master:local")
        refused(client.login, "user", "password")
        assert client.info().keys() <= {"Architecture", "NCPU", "ServerVersion", "MemTotal"}
        assert all(tag.startswith("kmodci/toolchain-") for each in client.images() for tag in each["RepoTags"])


def test_no_second_call_hides_behind_a_first(proxied: Proxied, real: docker.APIClient) -> None:
    name = f"kmodci-smuggled-{proxied.farm}"
    body = json.dumps({"Image": "x", "HostConfig": {"Privileged": True}})
    inner = f"POST /containers/create?name={name} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    inner += f"Content-Length: {len(body)}\r\n\r\n{body}"
    for headers in (
        "", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 0\r\nContent-Length: 9\r\n",
        "Transfer-Encoding: chunked\r\n X: y\r\n", "Content-Length: 0\nTransfer-Encoding: chunked\r\n",
    ):  # fmt: skip
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(proxied.socket))
            connection.sendall(f"GET /_ping HTTP/1.1\r\nHost: docker\r\n{headers}\r\n0\r\n\r\n{inner}".encode())
            answer = b""
            while more := connection.recv(65536):
                answer += more
        assert answer.count(b"HTTP/1.1 ") == 1
        assert answer.startswith(b"HTTP/1.1 400 " if headers else b"HTTP/1.1 200 ")
    assert real.containers(all=True, filters={"name": name}) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to(start: Callable[[str], Proxied], number: signal.Signals) -> None:
    proxied = start("x")
    again = Command(["engine-proxy", "--listen", proxied.url], proxied.socket.with_name("again"))
    assert again.end() == 1
    assert "somebody listens at" in again.said
    check = ["engine-proxy", "--listen", proxied.url, "--check"]
    assert Command(check, proxied.socket.with_name("checked")).end() == 0
    with socket.socket(socket.AF_UNIX) as idle:
        idle.connect(str(proxied.socket))
        proxied.command.send(number)
        assert proxied.command.end(seconds=30) == 0
    assert not proxied.socket.exists()
    # killed, it leaves a socket, in whose place the next one comes
    proxied = start("x")
    proxied.command.kill()
    assert proxied.socket.exists()
    checked = Command(check, proxied.socket.with_name("checked"))
    assert checked.end() == 1
    assert "the engine does not answer: Connection refused" in checked.said
    proxied = start("x")
    assert until(lambda: Engine(proxied.url, farm="x").look().cores)
