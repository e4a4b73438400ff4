"""What grows with the number of kernels: a synthetic store of each size, and a real master on it with nothing to do."""

import json
import os
import shutil
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from kmodci.cli.output import note, print_table
from kmodci.cli.processes import MasterProcess
from kmodci.discovery import Look, diff
from kmodci.farm import Farm
from kmodci.matrix import keys
from kmodci.model import Kernel, Outcome, Package, Status, Target
from kmodci.opening import open_farm
from kmodci.settings import load
from kmodci.watch import Found
from kmodci.where import embedded

from .place import SCOPE, Place

_MODULES = 4
_REPOSITORY = "trixie main"
_TARGET = Target(distro="debian", series="trixie", arch="amd64")
# what the web interface asks for when its builders page is opened
_PAGE = ("builders", "masters", "workers", "builds?limit=200&order=-buildid")


def measure(place: Place, sizes: Sequence[int]) -> None:
    """Prints a column for each number of kernels."""
    columns = [_at(place, size) for size in sizes]
    print_table(
        ("what", *(f"{size:,} kernels" for size in sizes)),
        ((what, *(column[what] for column in columns)) for what in columns[0]),
        right=[f"{size:,} kernels" for size in sizes],
    )
    note(f"{_MODULES} modules each; every build has ended, so there is nothing to build")


def _at(place: Place, size: int) -> dict[str, str]:
    note(f"{size} kernels")
    here = Place(place.config, place.state / f"scale-{size}", "*")
    shutil.rmtree(here.state, ignore_errors=True)
    _configure(here)
    farm = open_farm(here.config, scope=SCOPE)
    _fill(farm, size)
    found: dict[str, str] = {}
    _cpu(found, "plan, CPU s", farm.planner.plan)
    new = _kernel(size)
    _cpu(found, "a poll that finds one new kernel, CPU s", lambda: _poll(farm, new))
    # nothing is built for what is gone
    farm.store.put_kernels(_REPOSITORY, [replace(new, gone=time.time())])
    with _running(here, farm, found, size * _MODULES) as (url, pid):
        _wall(found, "GET /api/v2/builders, s", lambda: _get(url, "builders"))
        _wall(found, "builders page's requests, s", lambda: [_get(url, path) for path in _PAGE])
        found["master's memory, MiB"] = str(_resident(pid) >> 20)
    return found


def _configure(place: Place) -> None:
    place.write(["*"])
    place.make_up(f"m{n}" for n in range(_MODULES))
    # nobody listens there: what is known of a source that cannot be read stays
    place.follow(mirrors=dict.fromkeys(("debian", "debian-security"), "http://127.0.0.1:9"))


def _kernel(number: int) -> Kernel:
    release, version = f"6.{number // 100}.{number % 100}+deb13-amd64", f"6.{number // 100}.{number % 100}-1"
    header = Package(
        name=f"linux-headers-{release}",
        version=version,
        arch="amd64",
        url=f"http://127.0.0.1:9/{release}.deb",
        size=1,
        sha256=f"{number:064x}",
    )
    return Kernel(
        target=_TARGET,
        release=release,
        version=version,
        flavour="amd64",
        toolchain="gcc-14",
        repository=_REPOSITORY,
        headers=(header, replace(header, name="common"), replace(header, name="kbuild")),
    )


def _poll(farm: Farm, new: Kernel) -> None:
    """What a poll does once it has read an index that lists one kernel more."""
    listed = farm.store.listed()[_REPOSITORY]
    known = {str(kernel): kernel for kernel in listed}
    news = diff(known, (*listed, new))
    look = Look(
        repository=_REPOSITORY, release_digest="1", changed=True, kernels=(*listed, new), dated=datetime.now(UTC)
    )
    farm.watch.remember(Found(look=look, new=news.new))


def _fill(farm: Farm, size: int) -> None:
    for name in farm.planner.polled_modules:
        version = farm.watch.look_at_module(name)
        assert version is not None  # it was never looked at
        farm.watch.remember_module(version)
    farm.store.put_kernels(_REPOSITORY, map(_kernel, range(size)))
    entries, versions = farm.planner.entries(), farm.store.module_versions()
    now = keys(entries, versions, farm.recipes, farm.settings.modules)
    farm.store.put_outcomes(
        Outcome(
            build_id=entry.build_id,
            key=now[str(entry.build_id)],
            # a built one would be looked for in the bucket
            status=Status.FAILED,
            cause="synthetic",
            module_version="1",
            kernel_version=entry.kernel.version,
            finished=time.time(),
            seconds=1.0,
            make_seconds=1.0,
            build_url="",
            manifest="",
        )
        for entry in entries
    )


@contextmanager
def _running(place: Place, farm: Farm, found: dict[str, str], builders: int) -> Iterator[tuple[str, int]]:
    """A master, once it has registered its builders: the address of its web interface, and its pid."""
    master = MasterProcess(farm.paths, place.config, SCOPE, ("*",))
    url = farm.settings.web.address
    with embedded(load(place.config)):
        try:
            began = time.monotonic()
            master.start(url=url, seconds=600)
            found["start until the web answers, s"] = f"{time.monotonic() - began:.2f}"
            while len(_get(url, "builders?field=builderid&limit=100000")["builders"]) < builders:
                time.sleep(0.5)
            found["start until all builders are there, s"] = f"{time.monotonic() - began:.2f}"
            pid = master.pid()
            assert pid is not None
            yield url, pid
        finally:
            master.signal(signal.SIGTERM)
            if not master.wait(60):
                master.signal(signal.SIGKILL)


def _get(url: str, path: str) -> dict[str, list[object]]:
    with urllib.request.urlopen(f"{url}api/v2/{path}", timeout=600) as answer:  # noqa: S310 our own address
        found: dict[str, list[object]] = json.load(answer)
    return found


def _resident(pid: int) -> int:
    """Bytes (proc(5), /proc/pid/statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _cpu(found: dict[str, str], what: str, work: Callable[[], object]) -> None:
    began = time.process_time()
    work()
    found[what] = f"{time.process_time() - began:.3f}"


def _wall(found: dict[str, str], what: str, work: Callable[[], object]) -> None:
    began = time.monotonic()
    work()
    found[what] = f"{time.monotonic() - began:.3f}"
