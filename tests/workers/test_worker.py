"""The worker in the farm's own sandbox, in an image with nothing in it, and a real master that gives it a build."""

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard
from kmodci.sandbox import SOCKET_MOUNT, SOCKET_NAME, Inputs, Limits, host_config
from kmodci.workerbundle import python_command, worker_command
from support.containers import engine

pytestmark = pytest.mark.docker

LIMITS = Limits(memory=256 << 20, disk=64 << 20, processes=64, seconds=60, output=1 << 20)

# One build, started by the worker's arrival; the master ends itself when it is over.
_MASTER = """
import json, os
from buildbot.plugins import schedulers, steps, util, worker
from buildbot.util.service import BuildbotService
from twisted.internet import reactor

def build_over(key, build):
    with open("result.json", "w") as file:
        json.dump(build["results"], file)
    reactor.callLater(0, reactor.stop)

class Watch(BuildbotService):
    name = "watch"
    async def startService(self):
        await super().startService()
        await self.master.mq.startConsuming(build_over, ("builds", None, "finished"))

BuildmasterConfig = {
    "protocols": {"pb": {"port": "unix:" + os.environ["SOCKET"] + ":mode=666"}},
    "workers": [worker.Worker("w", os.environ["PASSWORD"])],
    "builders": [util.BuilderConfig(name="b", workernames=["w"], factory=util.BuildFactory([
        steps.ShellCommand(command=json.loads(os.environ["COMMAND"]), workdir="/build", haltOnFailure=True),
        steps.FileUpload(workersrc="/build/found.json", masterdest=os.path.abspath("found.json")),
    ]))],
    "schedulers": [schedulers.Periodic(name="once", builderNames=["b"], periodicBuildTimer=3600)],
    "services": [Watch()],
    "db_url": "sqlite:///state.sqlite",
    "buildbotNetUsageData": None,
}
"""

# What a build can find out: everything in /proc that belongs to others, and its own environment.
_SEARCH = """
import json, os
found = {"environment": dict(os.environ), "seen": "", "refused": [], "interfaces": os.listdir("/sys/class/net")}
for process in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline", "mem", "maps"):
        try:
            with open(f"/proc/{process}/{name}", "rb") as file:
                found["seen"] += file.read(1 << 16).decode(errors="replace") if name != "mem" else ""
        except OSError as error:
            found["refused"].append(f"{process} {name}")
json.dump(found, open("found.json", "w"))
"""


@pytest.fixture(scope="module")
def empty_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    archive = tmp_path_factory.mktemp("image") / "empty.tar.zst"
    archive.write_bytes(zstandard.compress(b"\0" * 10240))
    engine().load(archive, "kmodci-test/empty:1")
    return "kmodci-test/empty:1"


@contextmanager
def master(folder: Path, socket: Path, password: str, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    (folder / "master.cfg").write_text(_MASTER)
    (folder / "buildbot.tac").write_text(
        "from twisted.application.service import Application\nfrom buildbot.master import BuildMaster\n"
        f"application = Application('buildmaster')\n"
        f"BuildMaster({str(folder)!r}, 'master.cfg').setServiceParent(application)\n"
    )
    environment = {**os.environ, "SOCKET": str(socket), "PASSWORD": password, "COMMAND": json.dumps(command)}
    buildbot = str(Path(sys.executable).parent / "buildbot")
    subprocess.run([buildbot, "upgrade-master", "-q", folder], env=environment, check=True)
    with (folder / "master.log").open("wb") as log:
        twistd = [str(Path(sys.executable).parent / "twistd"), "--nodaemon", "--pidfile=", "-y", "buildbot.tac"]
        process = subprocess.Popen(twistd, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=30)


def end_containers_of(image: str) -> None:
    client = engine().client()
    try:
        for each in client.containers(filters={"ancestor": image}):
            client.kill(each["Id"])
    finally:
        client.close()


def test_a_build_without_network_that_cannot_find_the_password(bundle: Path, empty_image: str, tmp_path: Path) -> None:
    password = secrets.token_hex(16)
    sockets, home, inputs = tmp_path / "s", tmp_path / "master", tmp_path / "in"
    for folder in (sockets, home, inputs):
        folder.mkdir(mode=0o755)
    output: list[bytes] = []
    arguments = {
        "image": empty_image,
        "command": worker_command("/kmodci"),
        "environment": {
            "KMODCI_SOCKET": f"{SOCKET_MOUNT}/{SOCKET_NAME}",
            "WORKERNAME": "w",
            "WORKERPASS": password,
            "HARMLESS": "yes",
        },
        "inputs": Inputs(bundle=bundle, files=inputs, sockets=sockets),
        "host_config": host_config(LIMITS),
        "on_output": output.append,
        "on_error": output.append,
        "seconds": LIMITS.seconds,
    }
    # it ends with its container, which would try for most of a minute to find the master again
    container = threading.Thread(target=engine().run, kwargs=arguments, daemon=True)
    command = [*python_command("/kmodci"), "-c", _SEARCH]
    with master(home, sockets / SOCKET_NAME, password, command) as process:
        container.start()
        try:
            process.wait(timeout=LIMITS.seconds)
        finally:
            end_containers_of(empty_image)
            container.join(timeout=LIMITS.seconds)
    assert not container.is_alive()
    said = b"".join(output).decode() + (home / "master.log").read_text()
    assert (home / "result.json").exists(), said
    assert json.loads((home / "result.json").read_text()) == 0, said
    found = json.loads((home / "found.json").read_text())
    assert found["interfaces"] == ["lo"]
    assert found["environment"]["HARMLESS"] == "yes"
    assert not {"KMODCI_SOCKET", "WORKERNAME", "WORKERPASS"} & set(found["environment"])
    assert {"1 environ", "1 mem", "1 maps"} <= set(found["refused"])
    assert "HARMLESS" in found["seen"], "it did read what it may"
    assert password not in json.dumps(found)
