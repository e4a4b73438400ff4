"""What it costs to find kernels: from nothing, and when nothing has changed. Beside it kernel-crawler, if it is had."""

import json
import multiprocessing
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from kmodci.cli.output import note, print_table
from kmodci.errors import KmodciError
from kmodci.fetch import Fetcher
from kmodci.settings import load
from kmodci.where import repositories

from . import looking
from .looking import Figures
from .place import SCOPE, Place
from .webserver import WebServer

_COLUMNS = ("run", "wall s", "user s", "system s", "of both gpgv", "memory MiB", "requests", "MB", "kernels")
_ARCHES = ("x86_64", "aarch64")
_LIMIT = 1 << 30
Runs = dict[str, list[Figures]]


def measure(place: Place, *, repeat: int, packages: int, crawler: Path | None, live: bool) -> None:
    """Prints two tables, of medians.

    packages: of the rpm repository; crawler: a Python that has kernel-crawler; live: whether to ask the real mirrors.
    """
    place.make_up(["none"])
    note(f"each {repeat} times, all repositories at once; of those the median by CPU time")
    _debian(place, repeat, crawler, live=live)
    _rpm(place, repeat, packages, crawler)


def _debian(place: Place, repeat: int, crawler: Path | None, *, live: bool) -> None:
    place.write(["debian-*/*"])
    mirror = place.state / "discovery" / "debian"
    note("recording what the mirrors have now")
    shutil.rmtree(mirror, ignore_errors=True)
    looking.recorded(place.config, SCOPE, mirror)
    runs: Runs = {}
    if live:
        _looked(runs, ", real mirrors", place, repeat)
    if crawler:
        _record_for_crawler(place, mirror)
    with _followed(place), WebServer(mirror) as server:
        place.follow(mirrors=_moved(place, server.url))
        _looked(runs, ", recorded", place, repeat)
        if crawler:
            for arch in _ARCHES:
                runs[f"kernel-crawler, recorded, {arch}"] = _times(
                    repeat, partial(_crawl, crawler, "debian", server.url, arch)
                )
    _print("all of Debian", runs, crawler)


def _rpm(place: Place, repeat: int, packages: int, crawler: Path | None) -> None:
    try:
        from . import bigrpm
    except ImportError as error:
        raise KmodciError(
            f"no rpm repository can be made: {error}", hint="scripts/test installs what it needs"
        ) from error
    note(f"making rpm repositories of {packages} packages")
    folder = place.state / "discovery" / "rpm"
    made = bigrpm.make(folder, packages)
    runs: Runs = {}
    with _followed(place), WebServer(folder) as server:
        for variant, path in made.items():
            at = {"name": "big", "rpm": f"{server.url}/{path.name}", "signed": "no", "reason": "made here"}
            target = {"distro": "almalinux", "series": f"big{variant}", "arches": ["amd64"], "compiler": "gcc-11"}
            place.follow({**target, "repositories": [at]})
            place.write([f"almalinux-big{variant}-*/*"])
            _looked(runs, f", {variant}", place, repeat)
        if crawler:
            for variant, path in made.items():
                crawl = partial(_crawl, crawler, "rpm", f"{server.url}/{path.name}")
                runs[f"kernel-crawler, {variant}"] = _times(repeat, crawl)
    _print(f"an rpm repository of {packages:,} packages", runs, crawler)


@contextmanager
def _followed(place: Place) -> Iterator[None]:
    """Whatever is done to targets.yml in between, it is then as it was."""
    path = place.config / "targets.yml"
    text = path.read_text()
    try:
        yield
    finally:
        path.write_text(text)


def _moved(place: Place, url: str) -> dict[str, str]:
    """The mirrors of the recording: each below the path that it has on its own host."""
    settings = load(place.config)
    found = repositories(settings, settings.find_scope(SCOPE)).values()
    bases = {base for repository in found for base in repository.mirrors}
    return {base.rstrip("/").rpartition("/")[2]: f"{url}/{base.rstrip('/').split('/', 3)[3]}" for base in bases}


def _looked(runs: Runs, where: str, place: Place, repeat: int) -> None:
    """Adds the runs of the farm's own code."""
    cold, restarted, warm = f"cold{where}", f"after a restart{where}", f"nothing new{where}"
    for name in (cold, restarted, warm):
        runs[name] = []
    for _ in range(repeat):
        with tempfile.TemporaryDirectory(dir=place.state) as state:
            runs[cold] += _in_a_process(place, Path(state), 1)
            first, second = _in_a_process(place, Path(state), 2)
            runs[restarted].append(first)
            runs[warm].append(second)


def _in_a_process(place: Place, state: Path, times: int) -> list[Figures]:
    """Memory is counted by process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(looking.look, place.config, SCOPE, state, times).result()


def _times(repeat: int, once: Callable[[], Figures]) -> list[Figures]:
    return [once() for _ in range(repeat)]


def _crawl(python: Path, kind: str, url: str, *arch: str) -> Figures:
    program = Path(__file__).with_name("crawled.py")
    done = subprocess.run([python, program, kind, url, *arch], capture_output=True, text=True, check=False)
    try:
        found: Mapping[str, float] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise KmodciError(f"kernel-crawler: {(done.stdout + done.stderr).strip()[-500:]}") from error
    counts = {name: int(found[name]) for name in ("memory", "requests", "received", "kernels")}
    return Figures(wall=found["wall"], user=found["user"], system=found["system"], **counts)


def _record_for_crawler(place: Place, mirror: Path) -> None:
    """What kernel-crawler asks for besides: it reads Release, and Packages.xz of each component."""
    settings, fetcher = load(place.config), Fetcher()
    for repository in repositories(settings, settings.find_scope(SCOPE)).values():
        base, suite = repository.mirrors[0].rstrip("/"), repository.name.split()[0]
        dist = mirror / base.split("/", 3)[3] / "dists" / suite
        wanted = ["Release", *(f"main/binary-{arch}/Packages.xz" for arch in repository.arches)]
        for path in wanted:
            target = dist / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(fetcher.get(f"{base}/dists/{suite}/{path}", limit=_LIMIT))
        if "security" in suite:
            # it is there on the real mirrors: dists/bookworm-security/updates/
            (dist / "updates").symlink_to(".", target_is_directory=True)


def _print(what: str, runs: Runs, crawler: Path | None) -> None:
    medians = {name: _median(figures) for name, figures in runs.items()}
    note(what)
    print_table(_COLUMNS, (_row(name, figures) for name, figures in medians.items()), right=_COLUMNS[1:])
    if crawler:
        _compare(medians)


def _compare(medians: Mapping[str, Figures]) -> None:
    """The ratio that does not depend on the machine."""
    theirs = [figures for name, figures in medians.items() if name.startswith("kernel-crawler") and figures.kernels]
    ours = [figures for name, figures in medians.items() if name.startswith("cold") and "real" not in name]
    if theirs:
        cpu = sum(figures.cpu for figures in theirs)
        best, worst = (choose(figures.cpu for figures in ours) for choose in (min, max))
        note(f"kernel-crawler's CPU time: {cpu / worst:.1f} to {cpu / best:.1f} times ours")


def _median(figures: Sequence[Figures]) -> Figures:
    return sorted(figures, key=lambda each: each.cpu)[len(figures) // 2]


def _row(name: str, figures: Figures) -> tuple[object, ...]:
    return (
        name,
        f"{figures.wall:.2f}",
        f"{figures.user:.2f}",
        f"{figures.system:.2f}",
        f"{figures.programs:.2f}",
        figures.memory >> 20,
        figures.requests,
        f"{figures.received / 1e6:.1f}",
        figures.kernels,
    )
