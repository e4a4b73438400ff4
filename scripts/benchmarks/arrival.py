"""From a kernel that is published in a repository to its module that can be downloaded."""

import json
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kmodci.bucket import Bucket
from kmodci.cli.output import print_table
from kmodci.errors import KmodciError
from kmodci.keys import index_key
from kmodci.model import Kernel
from kmodci.settings import load
from kmodci.where import embedded

from .aptrepo import AptRepo
from .place import SCOPE, Place

_LOOK_EVERY = 0.02
_LONGEST = 600.0
_SUITE = "bench-arrivals"


def measure(place: Place, *, count: int, exclude: Sequence[str], interval: int) -> None:
    """Prints median and worst. interval: of the polls, seconds."""
    place.choose(count, exclude)
    with place.farm() as (farm, kernels):
        version = farm.store.module_version(place.module)
        assert version is not None  # its repository was just read
        for toolchain in {kernel.toolchain for kernel in kernels}:
            farm.supply.images.make(toolchain, lambda _: None)
        pool = place.state / "debs"
        debs = {str(kernel): _debs(farm.supply.downloads.package, kernel, pool) for kernel in kernels}
    here = Place(place.config, place.state / "arrivals", place.module)
    shutil.rmtree(here.state, ignore_errors=True)
    with AptRepo(here.state, suite=_SUITE) as repo:
        repo.publish()
        _follow(here, repo, interval)
        with _running(here):
            bucket = embedded(load(here.config)).bucket()
            took = []
            for kernel in kernels:
                for deb in debs[str(kernel)]:
                    repo.add(deb)
                repo.publish()
                key = index_key(place.module, version.version, kernel.target, kernel.release)
                took.append(_await(bucket, key))
    columns = ("kernels", "poll interval s", "median s", "worst s", "best s")
    row = (len(took), interval, *(f"{each:.1f}" for each in (statistics.median(took), max(took), min(took))))
    print_table(columns, [row], right=columns)


def _debs(download: object, kernel: Kernel, pool: Path) -> list[Path]:
    """Its header packages, downloaded before the time is taken."""
    assert callable(download)
    found = []
    for package in kernel.headers:
        folder = pool / package.sha256
        path = folder / package.url.rpartition("/")[2]
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            download(package, path)
        found.append(path)
    return found


def _follow(place: Place, repo: AptRepo, interval: int) -> None:
    """One more series, the only one in scope, whose only repository is ours; the rest is as it was."""
    series = repo.suite.replace("-", "")
    place.write([f"debian-{series}-*/*"])
    settings = json.loads((place.config / "kmodci.yml").read_text())
    settings["poll"] = {"interval": f"{interval}s", "jitter": "0s"}
    (place.config / "kmodci.yml").write_text(json.dumps(settings))
    repository = {"suite": repo.suite, "mirror": "arrivals", "keyring": str(repo.keyring)}
    added = {"distro": "debian", "series": series, "arches": ["amd64", "arm64"], "repositories": [repository]}
    place.follow(added, mirrors={"arrivals": repo.url})


@contextmanager
def _running(place: Place) -> Iterator[None]:
    """A farm that watches."""
    up = ("up", "--scope", SCOPE, "--module", place.module)
    done = subprocess.run(place.kmodci(*up, "--detach"), capture_output=True, text=True, check=False)
    try:
        if done.returncode != 0:
            raise KmodciError(f"the farm did not start:\n{(done.stdout + done.stderr)[-2000:]}")
        yield
    finally:
        subprocess.run(place.kmodci(*up, "--stop"), capture_output=True, check=False)


def _await(bucket: Bucket, key: str) -> float:
    """Seconds until the index names the module and the module is there."""
    began = time.monotonic()
    while time.monotonic() - began < _LONGEST:
        entry = bucket.get(key)
        if entry is not None and all(bucket.get(file["key"]) is not None for file in json.loads(entry)["files"]):
            return time.monotonic() - began
        time.sleep(_LOOK_EVERY)
    raise KmodciError(f"{key} is not there after {_LONGEST:.0f} s")
