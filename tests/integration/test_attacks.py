"""Hostile modules and a worker that was taken over, in real containers of a real farm (docs/security.md).

One build tries all that a Makefile could, and says what came of it; the others hand back what they should not.
"""

import json
import shlex
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.model import Outcome, Status
from kmodci.workerbundle import bundle_name, python_command
from support.attacks import TOLD, found_by
from support.farm import TARGET, LiveFarm, gated, live_farm, source
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(300)]

MAKE = 'make -C "$KERNEL_DIR" M="$PWD" modules'
# soon made
OBJECT = "echo 'int x;' | $CC -x c -c -o attacker.ko -"
PYTHON = shlex.join(python_command("/kmodci"))
SUPPORT = Path(__file__).parent.parent / "support"
HANDED_BACK = {
    "fifo": "attacker.ko was promised but is no plain file",
    "link": "attacker.ko was promised but is no plain file",
    "sparse": "m1.ko was promised but is no plain file, or with the others larger than 256 MiB",
    "climb": "facts.json: artifacts.0: String should match pattern",
}


@pytest.fixture(scope="module")
def old(kernels: dict[str, RealKernel]) -> str:
    return f"{TARGET}/{kernels['old'].release}"


@pytest.fixture(scope="module")
def farm(
    folder: Path, repo: AptRepo, publish: Callable[..., None], kernels: dict[str, RealKernel]
) -> Iterator[LiveFarm]:
    """Up, with its hostile modules, and a worker that is honest to all but one of them."""
    publish(repo, "old")
    with live_farm(folder, repo, {}) as made:
        attack = f"{PYTHON} attack.py {shlex.quote(str(made.state))} {made.port} && {MAKE}"
        other = kernels["old"].release.replace("6.", "5.", 1)
        elsewhere = f"{MAKE} && sed -i 's/vermagic={kernels['old'].release}/vermagic={other}/' attacker.ko"
        modules = {
            "hello": gated(),
            "attacker": source("attacker", build=attack, artifacts=["attacker.ko"]),
            "elsewhere": source("attacker", build=elsewhere, artifacts=["attacker.ko"]),
            "taken": source("hello", build=MAKE, artifacts=["hello.ko"], limits={"output": "64KiB"}),
        }
        for way in HANDED_BACK:
            modules[way] = source("attacker", build=f"{OBJECT}; {PYTHON} hand_back.py {way}", artifacts=["attacker.ko"])
        made.write_modules(modules)
        take_worker(made)
        made.up()
        yield made


def take_worker(farm: LiveFarm) -> None:
    bundle = farm.paths.workers / bundle_name()
    (bundle / "worker.py").replace(bundle / "honest.py")
    shutil.copy(SUPPORT / "taken_worker.py", bundle / "worker.py")
    (bundle / "worker.py").chmod(0o644)


@pytest.fixture(scope="module")
def first(farm: LiveFarm, old: str) -> Outcome:
    return farm.await_built(f"attacker/{old}")


@pytest.fixture(scope="module")
def found(farm: LiveFarm, first: Outcome) -> dict[str, Any]:
    return found_by(farm, first)


# A client of the master's port, as somebody on the host would write one who has got at it.
_CLIENT = """
import json, sys
from twisted.cred.credentials import UsernamePassword
from twisted.internet import defer, endpoints, protocol, reactor, task
from twisted.spread import pb

path, tries = sys.argv[1], json.loads(sys.argv[2])

class Flood(protocol.Protocol):
    sent = 0
    def connectionMade(self):
        self.transport.registerProducer(self, False)
    def dataReceived(self, data):
        pass
    def resumeProducing(self):
        # dialect, then a list of 640 K strings that never ends
        if not self.sent:
            self.transport.write(b"\\x04\\x82none" + b"\\x00\\x00\\x28\\x80")
        self.sent += 600_003
        self.transport.write(b"\\x40\\x4f\\x24\\x82" + b"x" * 600_000)
        if self.sent > 100 << 20:
            self.transport.loseConnection()
    def stopProducing(self):
        pass
    def connectionLost(self, reason):
        self.over.callback(self.sent)

async def main(reactor):
    found = {}
    for name, password in tries:
        factory = pb.PBClientFactory()
        endpoints.UNIXClientEndpoint(reactor, path).connect(factory)
        try:
            await factory.login(UsernamePassword(name.encode(), password.encode()), pb.Referenceable())
            found[f"{name} {len(password)}"] = "logged in"
        except Exception as error:
            found[f"{name} {len(password)}"] = str(getattr(error, "remoteType", type(error).__name__))
        factory.disconnect()
    flood = Flood()
    flood.over = defer.Deferred()
    await endpoints.connectProtocol(endpoints.UNIXClientEndpoint(reactor, path), flood)
    found["flood"] = await flood.over
    print(json.dumps(found))

task.react(lambda reactor: defer.ensureDeferred(main(reactor)))
"""


@pytest.fixture(scope="module")
def running(farm: LiveFarm, old: str) -> dict[str, Any]:
    """A build that waits until the last of its tests has had it."""
    return farm.until(lambda: farm.running().get(f"hello/{old}"))


class TestTheWorkersPort:
    def test_its_socket_is_gone_once_the_worker_is_in(self, farm: LiveFarm, running: dict[str, Any]) -> None:
        worker = running["properties"]["workername"][0]
        assert list(farm.paths.door(worker).iterdir()) == []

    def test_others_of_this_machine_do_not_get_there(self, farm: LiveFarm) -> None:
        assert stat.S_IMODE((farm.state / "sockets").stat().st_mode) == 0o700

    def test_nobody_gets_in_by_what_a_container_knows(self, farm: LiveFarm, running: dict[str, Any]) -> None:
        client = farm.engine.client()
        try:
            container = client.inspect_container(farm.container_of(running))
        finally:
            client.close()
        environment = dict(each.partition("=")[::2] for each in container["Config"]["Env"])
        password, name = environment["WORKERPASS"], environment["WORKERNAME"]
        assert len(password) >= 24
        tries = [(who, word) for who in (name, "local-1", "local-2", "master") for word in (password, "", "None")]
        ended = subprocess.run(
            [sys.executable, "-c", _CLIENT, str(farm.paths.socket("pb.sock")), json.dumps(tries)],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        came = json.loads(ended.stdout)
        flood = came.pop("flood")
        assert len(came) >= 9
        assert "logged in" not in came.values(), came
        assert flood < 8 << 20, "a message without an end is cut"
        assert not farm.is_complete(running), "and nobody else is disturbed"
        farm.open_gates()


# What a build may do: look at its own folders, and at what is everybody's.
ALLOWED = frozenset({"abstract sockets"})


class TestAModule:
    """Its Makefile, in its container."""

    def test_it_tried(self, found: dict[str, Any]) -> None:
        assert len(found) > 150
        kinds = {what.split()[0].rstrip(":") for what in found}
        assert {"read", "connect", "write", "change", "remove", "syscall", "rise", "kill"} <= kinds

    def test_nothing_it_tried_succeeded(self, found: dict[str, Any]) -> None:
        assert {what: came for what, came in found.items() if what not in TOLD | ALLOWED and came} == {}

    def test_it_knows_no_secret(self, farm: LiveFarm, found: dict[str, Any]) -> None:
        told = json.dumps(found)
        secrets = [farm.paths.first_password.read_text().strip(), *s3_secrets(farm)]
        assert all(len(secret) >= 16 for secret in secrets)
        assert not [secret for secret in secrets if secret in told]
        names = set(found["environment"])
        assert not {name for name in names if any(word in name for word in ("PASS", "SECRET", "AWS", "TOKEN", "KEY"))}
        assert not [text for text in found["environments"] if "WORKERPASS" in text]

    def test_it_sees_no_socket_and_no_process_of_others(self, found: dict[str, Any]) -> None:
        assert found["sockets"] == []
        assert found["abstract sockets"] == []
        assert len(found["processes"]) < 12, found["processes"]

    def test_what_is_mounted_from_the_host_is_read_only(self, farm: LiveFarm, found: dict[str, Any]) -> None:
        mounts = [line.split() for line in found["mounts"].splitlines()]
        assert all("ro" in mount[5].split(",") for mount in mounts if mount[4] == "/" or str(farm.state) in mount[3])
        assert not [mount for mount in mounts if mount[4].endswith("docker.sock")]

    def test_the_next_build_finds_nothing_of_it(self, farm: LiveFarm, found: dict[str, Any], first: Outcome) -> None:
        assert found["left behind"] == []
        status, answer = farm.force(module="attacker", kernel=str(first.build_id).split("/")[-1], rebuild=True)
        assert status == 200, answer
        again = found_by(farm, farm.await_built(str(first.build_id), after=first.finished))
        assert again["left behind"] == []
        assert again["host"] != found["host"], "a container is for one build"

    def test_nothing_of_it_survives(self, farm: LiveFarm, first: Outcome) -> None:
        farm.until(lambda: not [name for name in farm.containers() if name.startswith("buildbot-")] or None, seconds=60)
        assert "kmodci-canary" not in {path.read_text().strip() for path in comms()}


def comms() -> list[Path]:
    return [path for path in Path("/proc").glob("[0-9]*/comm") if path.exists()]


def s3_secrets(farm: LiveFarm) -> list[str]:
    return [str(json.loads((farm.state / "s3-credentials.json").read_text())["secret"])]


@pytest.mark.parametrize("way", HANDED_BACK)
def test_what_is_handed_back_is_judged(farm: LiveFarm, old: str, way: str) -> None:
    outcome = farm.await_outcome(f"{way}/{old}")
    assert outcome.status is Status.FAILED
    assert HANDED_BACK[way] in outcome.cause
    assert not list(farm.bucket.list(f"modules/{way}/")) + list(farm.bucket.list(f"index/{way}/"))
    # at once: the worker is not kept from answering, and no fault is the farm's
    assert len(farm.builds(f"{way}/{old}")) == 1


def test_a_module_of_another_kernel_is_not_published(farm: LiveFarm, old: str) -> None:
    outcome = farm.await_outcome(f"elsewhere/{old}")
    assert outcome.status is Status.FAILED
    assert "built for the kernel '5." in outcome.cause


class TestAWorkerThatWasTakenOver:
    @pytest.fixture
    def outcome(self, farm: LiveFarm, old: str) -> Outcome:
        return farm.await_outcome(f"taken/{old}")

    def test_it_is_nobody_else_and_commands_nothing(self, farm: LiveFarm, outcome: Outcome) -> None:
        [build] = farm.builds(str(outcome.build_id))
        log = farm.step_log(build, "build")
        assert len(log) < 100_000, "a log is as long as it may be, whatever it is called"
        [line] = [line for line in log.splitlines() if line.startswith("attacks ")]
        came: dict[str, str] = json.loads(line.removeprefix("attacks "))
        assert len(came) > 35
        assert {what: answer for what, answer in came.items() if not answer.startswith("refused: ")} == {}
        assert not [answer for answer in came.values() if "ConnectionLost" in answer], "it was heard to the end"

    def test_it_hands_back_no_more_than_was_asked_for(self, farm: LiveFarm, outcome: Outcome) -> None:
        assert outcome.status is Status.FAILED
        assert "facts.json" in outcome.cause
        assert not list(farm.paths.scratch.iterdir())
        assert not list(farm.bucket.list("modules/taken/"))


def test_the_web_and_the_bucket_are_for_this_machine(farm: LiveFarm) -> None:
    own = next((address for address in own_addresses() if not address.startswith("127.")), None)
    if own is None:
        pytest.skip("this machine has no address but loopback's")
    for port in (farm.port, farm.port + 1):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((own, port), timeout=5)


def own_addresses() -> list[str]:
    said = subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True, check=True).stdout
    return [line.split()[3].partition("/")[0] for line in said.splitlines()]
