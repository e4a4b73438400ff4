"""A whole run, cold and warm: how much of the machine was bare make, and where the rest went."""

import json
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from kmodci.cli.output import note, print_table
from kmodci.errors import KmodciError
from kmodci.settings import load
from kmodci.store import Store

from . import cpu
from .place import SCOPE, Place

_FIGURES, _PID = "figures.json", "up.pid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One run. Seconds; those of CPU are sums over the cores."""

    name: str
    built: int
    cores: int
    wall: float
    """from the start of the first build to the end of the last"""
    whole: float
    """with the start and the stop of the farm, and discovery"""
    make: float
    machine: float
    """everything on this machine, other people's work included"""
    containers: float
    """0 where it cannot be told"""
    master: float
    bundles: float
    """made by processes of the master"""
    s3: float
    command: float
    """`kmodci up` itself"""

    @property
    def efficiency(self) -> float:
        return self.make / (self.cores * self.wall)

    @property
    def rest(self) -> float:
        """Engine, shims, kernel threads; and whatever else ran on the machine."""
        return self.machine - max(self.containers, self.make) - self.master - self.bundles - self.s3 - self.command


def measure(place: Place, *, count: int, exclude: tuple[str, ...], cold: bool, cgroup: str) -> bool:
    """Prints the table. cold: from an empty state first. Returns whether all was built."""
    figures = []
    if cold:
        shutil.rmtree(place.state, ignore_errors=True)
    place.choose(count, exclude)
    if cold:
        figures.append(_run(place, "cold", cgroup))
    else:
        note("a run, to have the bundles")
        _up(place)
    _forget(place)
    figures.append(_run(place, "warm", cgroup))
    (place.state / _FIGURES).write_text(json.dumps([asdict(each) for each in figures]))
    columns = ("run", "built", "wall s", "whole s", "bare make s", "cores", "efficiency")
    print_table(
        columns,
        (
            (f.name, f.built, f"{f.wall:.1f}", f"{f.whole:.1f}", f"{f.make:.1f}", f.cores, f"{f.efficiency:.1%}")
            for f in figures
        ),
        right=columns[1:],
    )
    note("efficiency: CPU seconds of the bare makes / (cores x wall)")
    return all(each.built == count for each in figures)


def overhead(place: Place) -> None:
    """Prints, of the runs that `measure` made last, what a build costs besides make, and who uses it."""
    try:
        figures = [Figures(**each) for each in json.loads((place.state / _FIGURES).read_text())]
    except FileNotFoundError:
        raise KmodciError("nothing was measured yet", hint="scripts/bench efficiency") from None
    for run in figures:
        parts = {
            "bare make": run.make,
            "in containers besides: worker, unpack, strip": run.containers - run.make if run.containers else 0.0,
            "master": run.master,
            "master's processes: header bundles, git, apt": run.bundles,
            "S3 server": run.s3,
            "kmodci up": run.command,
            "rest of the machine: engine, kernel, others": run.rest,
            "idle": run.cores * run.whole - run.machine,
        }
        note(f"{run.name}: {run.built} builds in {run.whole:.1f} s on {run.cores} cores, start and stop included")
        print_table(
            ("what", "CPU s", "ms per build", "of make"),
            (
                (what, f"{used:.1f}", f"{1000 * used / run.built:.0f}", f"{used / run.make:.1%}")
                for what, used in parts.items()
            ),
            right=("CPU s", "ms per build", "of make"),
        )


def _run(place: Place, name: str, cgroup: str) -> Figures:
    note(f"a run: {name}")
    watch = cpu.Watch(
        {"up": place.state / _PID, "master": place.state / "master" / "lock", "s3": place.state / "s3.pid"}
    )
    machine, containers, began = cpu.machine(), cpu.containers(cgroup), time.monotonic()
    with watch.looking():
        _up(place)
    whole = time.monotonic() - began
    told, after = place.asked("bench"), cpu.containers(cgroup)
    return Figures(
        name=name,
        built=_number(told, "built"),
        cores=_number(told, "cores"),
        wall=float(str(told["wall_seconds"])),
        whole=whole,
        make=float(str(told["make_seconds"])),
        machine=cpu.machine() - machine,
        containers=after - containers if after is not None and containers is not None else 0.0,
        master=watch.used.get("master", 0.0),
        bundles=watch.used.get("master's children", 0.0),
        s3=watch.used.get("s3", 0.0),
        command=watch.used.get("up", 0.0),
    )


def _up(place: Place) -> None:
    """Builds what is not built. Raises KmodciError if the farm does not start."""
    place.state.mkdir(parents=True, exist_ok=True)
    with (place.state / "up.log").open("wb") as log:
        command = place.kmodci("up", "--once", "--scope", SCOPE, "--module", place.module)
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        (place.state / _PID).write_text(str(process.pid))
        status = process.wait()
    if status > 1:
        raise KmodciError(f"the farm ended with {status}:\n{(place.state / 'up.log').read_text()[-2000:]}")


def _number(told: object, name: str) -> int:
    assert isinstance(told, dict)
    return int(told[name])


def _forget(place: Place) -> None:
    """As if nothing was built: header bundles, images and sources stay, as for a new version of the module."""
    store = Store(load(place.config).database_url)
    store.forget_outcomes([outcome.build_id for outcome in store.outcomes().values()])
    store.close()
    shutil.rmtree(place.state / "s3" / "kmodci" / "modules", ignore_errors=True)
    shutil.rmtree(Path(place.state / "s3" / "kmodci" / "index"), ignore_errors=True)
