"""Nodes in containers fetch modules of real kernels of Debian from a real bucket; and a node one that a farm has built.

The containers have a network on which nothing answers but this machine.
"""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import docker
import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.embedded import rclone
from kmodci.mirrors import system_keyrings, system_mirrors
from kmodci.model import Target
from kmodci.osrelease import place_of
from kmodci.publishing import publish
from kmodci.settings import load
from kmodci.tokens import May, Tokens
from support.builds import built
from support.containers import engine
from support.farm import TARGET, LiveFarm, gated, live_farm, source
from support.nodes import OS_RELEASES, SCRIPT, Folder, Node
from support.ondemand import fetches_what_is_built, is_told_what_nobody_lists, token_file, waits_for_what_is_not
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(400)]

RELEASE = "6.1.0-50-amd64"
FAMILIES = sorted(path.name for path in OS_RELEASES.iterdir() if path.name != "ORIGIN")
_TAG = "kmodci-tests/node:1"
_UNAME = '#!/bin/sh\ncase $1 in -r) echo "$NODE_RELEASE";; -m) echo x86_64;; esac\n'
# modprobe would load it into the kernel of this machine
_MODPROBE = '#!/bin/sh\necho "modprobe $*"\n'


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's essential packages, and what a node has besides."""
    archive = tmp_path_factory.mktemp("image") / "root.tar.zst"
    subprocess.run(
        [
            *("mmdebstrap", "--quiet", "--variant=essential", "--include=curl,wget,kmod", "bookworm", str(archive)),
            f"deb [signed-by={system_keyrings('debian')[0]}] {system_mirrors()['debian']} bookworm main",
        ],
        check=True,
    )
    engine().load(archive, _TAG)
    archive.unlink()
    yield _TAG
    engine().remove_image(_TAG)


@pytest.fixture(scope="module")
def network() -> Iterator[tuple[str, str]]:
    """A network without a way out: its name, and the address that this machine has on it."""
    client = engine().client()
    name = f"kmodci-tests-{time.time_ns()}"
    made = client.create_network(name, driver="bridge", internal=True)["Id"]
    try:
        yield name, client.inspect_network(made)["IPAM"]["Config"][0]["Gateway"]
    finally:
        client.remove_network(made)
        client.close()


@pytest.fixture(scope="module")
def bucket(network: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket as a web server has it that anybody may read from, on that network. Yields its URL.

    It has one module for a kernel of each distribution whose os-release there is.
    """
    folder = Folder(tmp_path_factory.mktemp("bucket"))
    made = built(RELEASE)
    for name in FAMILIES:
        distro, series = place_of((OS_RELEASES / name).read_text())
        target = Target(distro=distro, series=series, arch="amd64")
        publish(folder, replace(made, kernel=replace(made.kernel, target=target)))
    command = [str(rclone()), "serve", "http", "--addr", f"{network[1]}:0", "--config", "/dev/null", "--read-only"]
    with subprocess.Popen([*command, str(folder.path)], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            line = next(line for line in process.stderr if "http://" in line)
            yield line[line.index("http://") :].strip(" []\n/").partition(" ")[0].strip("[]/")
        finally:
            process.terminate()


@pytest.fixture
def inside(image: str, network: tuple[str, str], tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Runs a script in a node's container; its exit status, and what it says."""
    for name, text in {"uname": _UNAME, "modprobe": _MODPROBE}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    files = {SCRIPT: "kmod-get", tmp_path / "uname": "uname", tmp_path / "modprobe": "modprobe"}

    def run(script: str, **more: object) -> tuple[int, str]:
        # a node's root may do what a build may not
        with contextlib.closing(docker.APIClient(engine().docker_host)) as client:
            mounts = [f"{path}:/usr/local/bin/{name}:ro" for path, name in files.items()] + [f"{OS_RELEASES}:/os:ro"]
            made = client.create_container(
                image,
                ["sh", "-euc", f"mkdir -p /lib/modules; {script}"],
                environment={"NODE_RELEASE": RELEASE, "PATH": "/usr/local/bin:/usr/sbin:/usr/bin"},
                host_config=client.create_host_config(binds=mounts, network_mode=network[0], **more),
            )["Id"]
            try:
                client.start(made)
                status = int(client.wait(made, timeout=200)["StatusCode"])
                return status, client.logs(made).decode()
            finally:
                client.remove_container(made, force=True)

    return run


def test_a_node_has_its_module(bucket: str, inside: Callable[..., tuple[int, str]]) -> None:
    script = f"""
      for client in curl wget; do
        kmod-get --bucket {bucket} --load hello
        cd /lib/modules/{RELEASE}
        modinfo -F vermagic extra/hello-world.ko | grep "^{RELEASE} SMP"
        grep "^extra/hello-world.ko: extra/greet.ko" modules.dep
        test "$(stat -c %a extra/greet.ko)" = 644
        test "$(find /tmp extra -name '*kmod-get*' | wc -l)" = 0
        cd /
        rm -rf /lib/modules/*
        rm /usr/bin/$client
      done
    """
    status, said = inside(script)
    assert status == 0, said
    assert said.count("modprobe -- hello-world") == 2
    assert said.count(f"installed /lib/modules/{RELEASE}/extra/greet.ko (hello 1.0+x)") == 2


def test_a_node_of_any_family_finds_what_is_for_it(bucket: str, inside: Callable[..., tuple[int, str]]) -> None:
    script = f"""
      for name in $(ls /os | grep -v ORIGIN) none; do
        rm -rf /lib/modules/* /etc/os-release /usr/lib/os-release
        test $name = none || cp /os/$name /etc/os-release
        status=0
        kmod-get --quiet --no-depmod --bucket {bucket} hello 2>/dev/null || status=$?
        echo $name $status $(ls /lib/modules/*/extra 2>/dev/null)
      done
    """
    status, said = inside(script)
    assert status == 0, said
    assert sorted(said.splitlines()) == sorted([*(f"{name} 0 greet.ko hello-world.ko" for name in FAMILIES), "none 2"])


def test_a_full_disk(bucket: str, inside: Callable[..., tuple[int, str]]) -> None:
    """No room for the larger of two files."""
    script = f"""
      mkdir -p /lib/modules/{RELEASE}/extra
      status=0
      dd if=/dev/zero of=/lib/modules/fill bs=4k 2>/dev/null || :
      kmod-get --bucket {bucket} hello || status=$?
      find /lib/modules -name "*kmod-get*" -o -name "*.ko"
      exit $status
    """
    status, said = inside(script, tmpfs={"/lib/modules": "size=64k"})
    assert (status, said.count("is the disk full?"), said.count("\n")) == (1, 1, 1), said


@pytest.fixture(scope="module")
def farm(
    folder: Path, repo: AptRepo, publish: Callable[..., None], kernels: dict[str, RealKernel]
) -> Iterator[LiveFarm]:
    """With one build done, and one that waits to be let go."""
    publish(repo, "old")
    with live_farm(folder, repo, {"hello": source("hello"), "late": gated()}) as made:
        made.up()
        made.await_built(f"hello/{TARGET}/{kernels['old'].release}")
        yield made


def test_without_a_bucket_for_all_the_farm_itself_has_it(
    farm: LiveFarm, kernels: dict[str, RealKernel], tmp_path: Path
) -> None:
    """Through Buildbot's own web server; and with a farm that is reached, but has nothing."""
    public = load(farm.config).public_bucket
    assert public == f"{farm.url}/kmodci/files"
    for client in ("curl", "wget"):
        node = Node(tmp_path / client, release=kernels["old"].release, client=client)
        said = node.get("hello", "--bucket", public)
        assert (said.status, node.installed) == (0, ["hello.ko"]), said.err
        assert node.get("hello", "--bucket", public, "--version", "2.0").status == 3
    for path in ("state/kernels.json", "latest/", "latest/../state/retired.json", "..%2f..%2fetc/passwd"):
        assert farm.status(f"kmodci/files/{path}") == 404
    key = f"latest/hello/debian/amd64/{kernels['old'].release}.json"
    with contextlib.closing(urlopen(f"{public}/{key}", timeout=30)) as answer:
        content = answer.read()
        assert content == farm.bucket.get(key)
        assert answer.headers["Content-Length"] == str(len(content))


@pytest.mark.parametrize("client", ["curl", "wget"])
def test_a_farm_answers_as_its_stand_in_does(
    farm: LiveFarm, kernels: dict[str, RealKernel], tmp_path: Path, client: str
) -> None:
    """What tests/scripts ask of `support.ondemand.StandIn`, asked of a farm."""
    release = kernels["old"].release
    node = Node(tmp_path / client, release=release, client=client)
    fetches_what_is_built(node, farm.url, "hello")
    assert node.installed == ["hello.ko"]
    other = Node(tmp_path / "other", client=client)
    named = ("--kernel", release, "--distro", "debian", "--series", "12", "--arch", "amd64", "--version", "1.0")
    said = other.get("hello", "--server", farm.url, *named)
    assert said.status == 0, said.err
    assert (other.root / "lib" / "modules" / release / "extra" / "hello.ko").exists()
    is_told_what_nobody_lists(Node(tmp_path / "none", client=client), farm.url, "hello")
    is_told_what_nobody_lists(Node(tmp_path / "no-module", client=client), farm.url, "helo")


def test_a_node_waits_for_what_a_farm_builds(farm: LiveFarm, kernels: dict[str, RealKernel], tmp_path: Path) -> None:
    release = kernels["old"].release
    name = f"late/{TARGET}/{release}"
    token = token_file(tmp_path, Tokens(load(farm.config).tokens_file).add("node", May.BUILD, time.time()))
    node = Node(tmp_path / "node", release=release)
    node.program("sleep", f': >{tmp_path}/asleep; exec {(node.bin / "sleep").readlink()} "$1"')

    def let_go() -> None:
        """Once it has been told that there is nothing yet."""
        farm.until((tmp_path / "asleep").exists)
        farm.until(lambda: (farm.open_gates(), farm.outcome(name))[1])

    with ThreadPoolExecutor() as pool:
        done = pool.submit(let_go)
        waits_for_what_is_not(node, farm.url, "late", "--token-file", token, "--wait", "100")
        done.result()
    assert node.installed == ["hello.ko"]
    assert len(farm.builds(name)) == 1
