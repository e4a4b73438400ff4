"""Where a bench works: a configuration and a state of its own, and the kernels that it builds for."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from kmodci.errors import KmodciError
from kmodci.farm import Farm
from kmodci.model import Kernel
from kmodci.opening import open_farm
from kmodci.paths import checkout
from kmodci.selectors import matches
from kmodci.settings import load
from kmodci.where import open_bucket
from kmodci.yamlfile import read

SCOPE = "bench"
_NO_MIRRORS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Place:
    """config, state: folders; module: what is built."""

    config: Path
    state: Path
    module: str

    def kmodci(self, *arguments: str) -> list[str]:
        """The command line of a `kmodci` on this place."""
        return [str(Path(sys.executable).with_name("kmodci")), *arguments, "--config", str(self.config)]

    def asked(self, *arguments: str) -> Mapping[str, object]:
        """What a command answers with --json. Raises KmodciError."""
        done = subprocess.run(self.kmodci(*arguments, "--json"), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise KmodciError(f"kmodci {' '.join(arguments)}: {done.stderr.strip()[-500:]}")
        answer: Mapping[str, object] = json.loads(done.stdout)
        return answer

    def write(self, kernels: Sequence[str]) -> None:
        """The farm's own settings: scope `bench` is these kernels (target/release)."""
        mine = load(Path(os.environ.get("KMODCI_CONFIG") or checkout() / "config"))
        settings = {
            "state": str(self.state),
            "web": {"port": _free_ports()},
            **mine.model_dump(mode="json", include={"engine", "hosts"}, exclude_unset=True),
            "scope": SCOPE,
            "scopes": {SCOPE: {"modules": [self.module], "kernels": list(kernels)}},
        }
        # JSON is YAML
        (self.config / "kmodci.yml").write_text(json.dumps(settings))

    def follow(self, *targets: Mapping[str, object], mirrors: Mapping[str, str] = _NO_MIRRORS) -> None:
        """Adds to targets.yml."""
        path = self.config / "targets.yml"
        found = read(path).data
        assert isinstance(found, dict)
        found["targets"] = [*found["targets"], *targets]
        found["mirrors"] = {**found.get("mirrors", {}), **mirrors}
        path.write_text(json.dumps(found))

    def make_up(self, modules: Iterable[str]) -> None:
        """Instead of the configured modules, some that no repository packages and that are not meant to be built."""
        module = self.state / "module"
        module.mkdir(parents=True, exist_ok=True)
        (module / "dkms.conf").write_text("PACKAGE_NAME=m\nPACKAGE_VERSION=1\n")
        made = {name: {"source": {"path": str(module)}, "version": "1"} for name in modules}
        (self.config / "modules.yml").write_text(json.dumps({"modules": made}))
        (self.config / "known-failures.yml").write_text("known_failures: []\n")

    def choose(self, count: int, exclude: Sequence[str]) -> list[str]:
        """The newest kernels whose header packages are there, chosen once and then remembered. Raises KmodciError."""
        note = self.state / f"kernels-{self.module}-{count}.json"
        if not note.exists():
            self.write(["*"])
            listed = self.asked("kernels", "--look", "--scope", SCOPE)["kernels"]
            assert isinstance(listed, list)
            wanted = [kernel for kernel in listed if not matches(_name(kernel), exclude)]
            found = list(islice(_there(wanted), count))
            if len(found) < count:
                raise KmodciError(f"the repositories have {len(found)} such kernels, not {count}", hint="say --kernels")
            self.state.mkdir(parents=True, exist_ok=True)
            note.write_text(json.dumps(found))
        names: list[str] = json.loads(note.read_text())
        self.write(names)
        return names

    @contextmanager
    def farm(self) -> Iterator[tuple[Farm, list[Kernel]]]:
        """The farm, its bucket answering, and its kernels; no master. For what needs bundles and sources."""
        with open_bucket(load(self.config)) as bucket:
            bucket.ensure()
            farm = open_farm(self.config, scope=SCOPE)
            for name in farm.watch.repositories:
                found = farm.watch.look(name)
                if found.changed:
                    farm.watch.remember(found)
            yield farm, [entry.kernel for entry in farm.planner.entries() if not entry.skipped]


@contextmanager
def place(module: str) -> Iterator[Place]:
    """A place in this checkout. What an earlier bench left in its state is used again."""
    # beside config/, so that relative paths in it stay what they are
    config = Path(tempfile.mkdtemp(prefix="config-bench.", dir=checkout()))
    shutil.copytree(os.environ.get("KMODCI_CONFIG") or checkout() / "config", config, dirs_exist_ok=True)
    made = Place(config, Path(os.environ.get("KMODCI_BENCH_STATE") or checkout() / "state-bench"), module)
    made.write(["*"])
    try:
        yield made
    finally:
        shutil.rmtree(config, ignore_errors=True)


def _name(kernel: Mapping[str, str]) -> str:
    return f"{kernel['target']}/{kernel['release']}"


def _there(kernels: Iterable[dict[str, object]]) -> Iterator[str]:
    """Of those kernels, the ones whose header packages the mirror has: an index may list more."""

    def has_all(kernel: dict[str, object]) -> str:
        headers = kernel["headers"]
        assert isinstance(headers, list)
        there = all(_answers(str(package["url"])) for package in headers)
        return f"{kernel['target']}/{kernel['release']}" if there else ""

    with ThreadPoolExecutor(8) as pool:
        yield from filter(None, pool.map(has_all, kernels))


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=30) as answer:  # noqa: S310 a mirror's
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


def _free_ports() -> int:
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
