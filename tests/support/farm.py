"""A whole farm for a test, as a user has it: a configuration, `kmodci up`, Docker, S3, the master, and REST to ask it.

Every wait is for something that can be seen (an outcome in the store, an answer of the web interface, the end of a
process), with a deadline, at which the farm's own log is told.
"""

import atexit
import base64
import contextlib
import functools
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import docker
import requests
import zstandard
from benchmarks.aptrepo import LASTING, AptRepo
from kmodci.bucket import Bucket
from kmodci.cli.processes import MasterProcess
from kmodci.engine import Engine
from kmodci.engines import Engines, engines_of
from kmodci.errors import EngineError
from kmodci.manifest import Manifest
from kmodci.model import BuildId, Outcome, Status
from kmodci.paths import Paths
from kmodci.publishing import read_manifest
from kmodci.runstore import RunStore
from kmodci.settings import load
from kmodci.store import Store
from kmodci.users import FIRST
from kmodci.where import bucket_of, embedded
from kmodci.workerbundle import make_bundle

T = TypeVar("T")

SOURCES = Path(__file__).parent.parent / "data" / "farm"
ENGINE = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
TARGET = "debian-test-amd64"
_LOOK_EVERY = 0.1


def source(name: str, **more: object) -> dict[str, object]:
    """The settings of a module of tests/data/farm."""
    return {"source": {"path": str(SOURCES / name)}, "version": "1.0", **more}


def gated(**more: object) -> dict[str, object]:
    """The settings of a module whose builds wait until `LiveFarm.open_gates`."""
    build = 'until [ -e /in/go ]; do sleep 0.1; done; make -C "$KERNEL_DIR" M="$PWD" modules'
    return source("hello", build=build, artifacts=["hello.ko"], **more)


def until(what: Callable[[], T | None], *, seconds: float = 90, told: Callable[[], str] = str) -> T:
    """What is waited for, once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {told()}"
        time.sleep(_LOOK_EVERY)
    return found


class Command:
    """A `kmodci` that runs."""

    def __init__(self, arguments: Sequence[str], output: Path) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("kmodci")), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                # a terminal's Ctrl-C would reach this, and the test itself
                start_new_session=True,
                env={**os.environ, "COLUMNS": "200"},
            )

    @property
    def said(self) -> str:
        return self._output.read_text()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def await_words(self, words: str, *, seconds: float = 60) -> None:
        """Until it has said so."""
        until(lambda: words in self.said or not self.running, seconds=seconds, told=lambda: self.said)
        assert words in self.said, self.said

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, *, seconds: float = 120) -> int:
        """Its exit status, once it has ended."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:.0f} s:\n{self.said}") from None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class LiveFarm:
    """A farm in a folder of its own, that follows the series `test` as a test's repository has it, or other targets."""

    def __init__(
        self,
        folder: Path,
        repo: AptRepo | None,
        modules: Mapping[str, object],
        *,
        limits: Mapping[str, object] | None = None,
        poll: Mapping[str, object] | None = None,
        bucket: Mapping[str, object] | None = None,
        engine: str = ENGINE,
        hosts: Mapping[str, Mapping[str, object]] | None = None,
        targets: Sequence[Mapping[str, object]] | None = None,
        mirrors: Mapping[str, object] | None = None,
        toolchains: Mapping[str, object] | None = None,
        log: str = "text",
    ) -> None:
        """bucket: of a server that the test runs, instead of the embedded one; engine: the address of Docker;
        hosts: instead of that, as in kmodci.yml; log: text or json.

        targets: what is followed, as in targets.yml, instead of the repository; mirrors, toolchains: beside the usual.
        """
        self.folder, self.config, self.state = folder, folder / "config", folder / "state"
        self.config.mkdir(parents=True)
        self.port = free_ports()
        settings: dict[str, object] = {
            "state": str(self.state),
            "web": {"port": self.port},
            **({"hosts": hosts} if hosts else {"engine": {"docker_host": engine, "workers": 2}}),
            "limits": {"memory": "768MiB", "disk": "512MiB", "time": "5m", **(limits or {})},
            "log": {"format": log},
            "poll": {"interval": "1s", "jitter": "0s", **(poll or {})},
            "scopes": {"all": {"kernels": [f"{each}/*" for each in _followed(targets)]}},
        }
        if bucket is not None:
            settings["bucket"] = bucket
        self.write("kmodci.yml", settings)
        self.write("targets.yml", _targets(repo, targets or (), mirrors or {}, toolchains or {}))
        self.write("known-failures.yml", {"known_failures": []})
        self.write_modules(modules)
        # made once for all farms: 3 s each
        shutil.copytree(_worker_bundle(), self.paths.workers, symlinks=True, copy_function=_link, dirs_exist_ok=True)
        self._runs = 0
        self._commands: list[Command] = []

    # the configuration

    def write(self, name: str, content: object) -> None:
        # JSON is YAML
        text = content if isinstance(content, str) else json.dumps(content, indent=1)
        (self.config / name).write_text(text)

    def write_modules(self, modules: Mapping[str, object]) -> None:
        self.modules = dict(modules)
        self.write("modules.yml", {"modules": self.modules})

    # the processes

    def kmodci(self, *arguments: str, config: Path | None = None, has_files: bool = True) -> Command:
        """Starts a command on this farm's configuration, or another, or on none."""
        self._runs += 1
        files = ["--config", str(config or self.config)] if has_files else []
        command = Command([*arguments, *files], self.folder / f"out-{self._runs}")
        self._commands.append(command)
        return command

    def up(self, *arguments: str) -> Command:
        """`kmodci up`; returns when the farm is up."""
        command = self.kmodci("up", "--scope", "all", "--module", "*", *arguments)
        command.await_words("farm is up")
        return command

    @property
    def master(self) -> MasterProcess:
        return MasterProcess(self.paths, self.config, "all", ("*",))

    def master_pid(self) -> int:
        pid = self.master.pid()
        assert pid is not None, self.log
        return pid

    def kill(self) -> None:
        """The master, at once; returns when the `kmodci up` that had started it has ended as well."""
        os.kill(self.master_pid(), signal.SIGKILL)
        for command in self._commands:
            if command.running:
                command.end()

    def reconfigure(self) -> str:
        """SIGHUP. Returns what the master logged of it."""
        seen = len(self.log)
        os.kill(self.master_pid(), signal.SIGHUP)
        ends = (
            "configuration update complete",
            "configuration update aborted",
            "reconfig aborted",
            "partially applied",
        )
        until(lambda: any(end in self.log[seen:] for end in ends), told=lambda: self.log[seen:])
        return self.log[seen:]

    def close(self) -> None:
        """Ends whatever still runs, and removes every container."""
        for command in self._commands:
            if command.running:
                command.kill()
        pid = self.master.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self.master.wait(10)
        self.engines.look_at_all()
        self.engines.sweep()
        if (self.state / "s3.pid").exists():
            self.s3_server.start()
            self.s3_server.stop()

    # what it says

    @property
    def paths(self) -> Paths:
        return Paths(self.state)

    @property
    def log(self) -> str:
        """twistd.log, this far."""
        path = self.state / "master" / "twistd.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def told(self) -> str:
        """For a deadline that was missed."""
        outcomes = "\n".join(f"{o.build_id}: {o.status}: {o.cause}" for o in self.store.outcomes().values())
        said = "\n".join(command.said[-2000:] for command in self._commands)
        return f"outcomes:\n{outcomes}\ncommands:\n{said}\nmaster:\n{self.log[-6000:]}"

    def until(self, what: Callable[[], T | None], *, seconds: float = 90) -> T:
        return until(what, seconds=seconds, told=self.told)

    @functools.cached_property
    def store(self) -> Store:
        return Store(load(self.config).database_url)

    @functools.cached_property
    def runs(self) -> RunStore:
        return RunStore(self.store)

    @functools.cached_property
    def engines(self) -> Engines:
        hosts = {name: host.host(name) for name, host in load(self.config).build_hosts.items()}
        return engines_of(hosts, farm=self.paths.farm_id())

    @property
    def engine(self) -> Engine:
        """Of the first host."""
        return self.engines[next(iter(self.engines))]

    @functools.cached_property
    def s3_server(self) -> Any:
        return embedded(load(self.config))

    @functools.cached_property
    def bucket(self) -> Bucket:
        return bucket_of(load(self.config))

    def containers(self, host: str = "") -> dict[str, str]:
        """Name -> id, of this farm's on a host, running or not; on the first host if not said."""
        engine = self.engines[host] if host else self.engine
        client = engine.client()
        try:
            found = client.containers(all=True, filters={"label": f"kmodci.farm={engine.farm}"})
            return {container["Names"][0].lstrip("/"): container["Id"] for container in found}
        finally:
            client.close()

    def kill_container(self, identity: str) -> None:
        client = self.engine.client()
        try:
            client.kill(identity)
        finally:
            client.close()

    # builds

    def outcome(self, build_id: str) -> Outcome | None:
        return self.store.outcome(BuildId.parse(build_id))

    def await_outcome(self, build_id: str, *, after: float = 0, seconds: float = 120) -> Outcome:
        """How a build ended, once it has. after: an outcome from before then does not count."""

        def ended() -> Outcome | None:
            outcome = self.outcome(build_id)
            return outcome if outcome and outcome.finished > after else None

        return self.until(ended, seconds=seconds)

    def await_built(self, build_id: str, *, after: float = 0, seconds: float = 120) -> Outcome:
        outcome = self.await_outcome(build_id, after=after, seconds=seconds)
        assert outcome.status is Status.BUILT, f"{outcome.cause}\n{self.told()}"
        return outcome

    def running(self) -> dict[str, dict[str, Any]]:
        """The builds whose containers run the module's own code, by build id."""
        found = {}
        for build in self.get("builds?complete=false&property=*")["builds"]:
            steps = self.get(f"builds/{build['buildid']}/steps")["steps"]
            if any(step["name"] == "build" and step["started_at"] for step in steps):
                found[build["properties"]["virtual_builder_name"][0]] = build
        return found

    def await_running(self, count: int, *, seconds: float = 60) -> dict[str, dict[str, Any]]:
        return self.until(lambda: found if len(found := self.running()) >= count else None, seconds=seconds)

    def is_complete(self, build: Mapping[str, Any]) -> bool:
        return bool(self.get(f"builds/{build['buildid']}")["builds"][0]["complete"])

    def open_gates(self) -> None:
        """Lets the `gated` builds that run now go on: what is put among their inputs is seen in their containers."""
        for name, host in self.engines.hosts.items():
            if host.same_machine:
                for number in (1, 2):
                    (self.paths.inputs(f"{name}-{number}") / "go").touch()
            else:
                self.open_gates_on(name)

    def open_gates_on(self, host: str) -> None:
        """The same for what runs on one host that is elsewhere, if that answers."""
        (self.folder / "go").touch()
        with contextlib.suppress(EngineError, docker.errors.DockerException, requests.exceptions.RequestException):
            for name, container in self.containers(host).items():
                if name.startswith("buildbot-"):
                    self.engines[host].send(container, {"go": self.folder / "go"})

    def container_of(self, build: Mapping[str, Any]) -> str:
        """The id of the container that a running build is in."""
        worker = build["properties"]["workername"][0]
        [found] = [identity for name, identity in self.containers().items() if f"-{worker}-" in name]
        return found

    def stop_build(self, build: Mapping[str, Any]) -> None:
        """As the stop button does."""
        status, answer = self.call(f"builds/{build['buildid']}", "stop", {"reason": "enough"})
        assert status == 200, answer

    def manifest(self, outcome: Outcome) -> Manifest:
        return read_manifest(self.bucket, outcome.manifest)

    def build_log(self, outcome: Outcome) -> str:
        """As published."""
        data = self.bucket.get(self.manifest(outcome).log)
        assert data is not None
        return zstandard.ZstdDecompressor().stream_reader(data).read().decode()

    # the web interface

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> Any:
        """What REST answers below /api/v2."""
        status, answer = self._ask(urllib.request.Request(f"{self.url}/api/v2/{path}"))
        assert status == 200, answer
        return answer

    def status(self, path: str) -> int:
        """The HTTP status of any page."""
        try:
            with urllib.request.urlopen(f"{self.url}/{path}", timeout=30) as answer:
                status: int = answer.status
                return status
        except urllib.error.HTTPError as error:
            return error.code

    def hosts(self) -> dict[str, dict[str, Any]]:
        """What is told of the build hosts, by name."""
        with urllib.request.urlopen(f"{self.url}/api/kmodci/v1/hosts", timeout=30) as answer:
            return {each["host"]: each for each in json.load(answer)["hosts"]}

    def builder(self, name: str) -> dict[str, Any] | None:
        found = self.get(f"builders?name={quote(name, safe='')}")["builders"]
        return found[0] if found else None

    def builds(self, name: str) -> list[dict[str, Any]]:
        """Of one builder, each with its properties, the oldest first."""
        builder = self.builder(name)
        if builder is None:
            return []
        found: list[dict[str, Any]] = self.get(f"builders/{builder['builderid']}/builds?property=*")["builds"]
        return sorted(found, key=lambda build: build["number"])

    def step_log(self, build: Mapping[str, Any], step: str, log: str = "stdio") -> str:
        """A log of a build as the web interface shows it."""
        steps = self.get(f"builds/{build['buildid']}/steps")["steps"]
        number = next(s["number"] for s in steps if s["name"] == step)
        chunk = self.get(f"builds/{build['buildid']}/steps/{number}/logs/{log}/contents")["logchunks"][0]
        return "\n".join(line[1:] for line in chunk["content"].splitlines())

    def force(self, **form: object) -> tuple[int, Any]:
        """Presses the force button. Returns the HTTP status and REST's answer."""
        return self.call("forceschedulers/force", "force", form)

    @functools.cached_property
    def cookie(self) -> str:
        """Of the user that `kmodci up` has made, logged in."""
        return self.log_in(FIRST, self.paths.first_password.read_text().strip())

    def log_in(self, user: str, password: str) -> str:
        """The `Cookie` header of a session. Outlasts the master."""
        given = base64.b64encode(f"{user}:{password}".encode()).decode()
        request = urllib.request.Request(f"{self.url}/auth/login", headers={"Authorization": f"Basic {given}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            [cookie] = answer.headers.get_all("Set-Cookie")
        return cookie.partition(";")[0]

    def call(
        self, path: str, method: str, parameters: Mapping[str, object], *, cookie: str | None = None
    ) -> tuple[int, Any]:
        """What REST answers to a command. cookie: of who gives it, other than the farm's user; "" is nobody's."""
        call = {"jsonrpc": "2.0", "method": method, "id": 1, "params": parameters}
        request = urllib.request.Request(
            f"{self.url}/api/v2/{path}",
            data=json.dumps(call).encode(),
            headers={"Content-Type": "application/json", "Cookie": self.cookie if cookie is None else cookie},
        )
        return self._ask(request)

    def _ask(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")
        except (http.client.HTTPException, OSError) as error:
            raise AssertionError(f"{request.full_url}: {error!r}: {self.told()}") from error


@contextmanager
def live_farm(folder: Path, repo: AptRepo | None, modules: Mapping[str, object], **more: Any) -> Iterator[LiveFarm]:
    """A farm that is not started yet; nothing of it is left afterwards."""
    farm = LiveFarm(folder, repo, modules, **more)
    try:
        yield farm
    finally:
        farm.close()


@functools.cache
def _worker_bundle() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="kmodci-worker-", dir=LASTING))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make_bundle(folder)
    return folder


def _link(source: str, target: str) -> None:
    """A link, or a copy on another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _followed(targets: Sequence[Mapping[str, Any]] | None) -> list[str]:
    if targets is None:
        return [TARGET]
    return [f"{each['distro']}-{each['series']}-{arch}" for each in targets for arch in each["arches"]]


def _targets(
    repo: AptRepo | None,
    targets: Sequence[Mapping[str, object]],
    mirrors: Mapping[str, object],
    toolchains: Mapping[str, object],
) -> dict[str, object]:
    """The kernels are the test's, the toolchain images are made of the real Debian."""
    test: list[object] = [*targets]
    if repo is not None:
        followed = {"suite": repo.suite, "mirror": "test", "keyring": str(repo.keyring)}
        test.append({"distro": "debian", "series": "test", "arches": ["amd64"], "repositories": [followed]})
    real = [
        {"distro": "debian", "series": series, "arches": ["amd64"], "repositories": [{"suite": series}]}
        for series in ("bookworm", "trixie")
    ]
    return {
        "mirrors": {**({"test": repo.url} if repo is not None else {}), **mirrors},
        "toolchains": {
            "gcc-12": {"distro": "debian", "series": "bookworm"},
            "gcc-14": {"distro": "debian", "series": "trixie"},
            **toolchains,
        },
        "targets": [*real, *test],
    }


def free_ports() -> int:
    """The first of two neighbours that nothing listens on now: the web interface, and S3 above it."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def write_root_of(tag: str, archive: Path) -> None:
    """The root file system of an image of the machine's engine, as the bucket keeps it."""
    client = docker.APIClient(base_url=ENGINE)
    container = client.create_container(tag, ["/nothing"])["Id"]
    try:
        with archive.open("wb") as file, zstandard.ZstdCompressor(level=1).stream_writer(file) as compressed:
            for chunk in client.export(container):
                compressed.write(chunk)
    finally:
        client.remove_container(container)
        client.close()
