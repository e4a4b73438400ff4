"""`kmodci bench`: how well the last run used the machine."""

from datetime import UTC, datetime
from pathlib import Path

import click

from ..engine import Engine
from ..errors import NotFound
from ..model import Status
from ..runs import START_NOTE, Run, last_run
from ..settings import load
from ..store import Store
from .options import config_option, json_option
from .output import print_facts, print_json
from .view import farm_store


@click.command()
@config_option
@json_option
def bench(config: Path, as_json: bool) -> None:
    """Tell how well the last run used the machine.

    The CPU time of the bare make, as it was measured in the containers, over cores x wall time: 100 % would be
    make on every core all the time. A run is what was built since the farm was started, with no pause as
    long as poll: interval; its wall time is from the start of its first build to the end of its last.

    \b
    kmodci bench
    scripts/bench --all      a whole run, from an empty state
    """
    settings = load(config)
    store = farm_store(settings)
    run = _last_run(store, settings.poll.interval) if store else None
    if run is None:
        raise NotFound("nothing was built here yet", hint="scripts/bench builds, and tells; so does scripts/quickstart")
    cores = Engine(settings.engine.docker_host, farm="").cores()
    if as_json:
        print_json(_plain(run, cores))
    else:
        print_facts(_told(run, cores), width=14)


def _last_run(store: Store, quiet: float) -> Run | None:
    start = store.meta(START_NOTE)
    return last_run(store.outcomes().values(), quiet=quiet, start=float(start) if start else 0.0)


def _plain(run: Run, cores: int) -> dict[str, object]:
    return {
        "started": run.started,
        "kernels": run.kernels,
        "builds": len(run.builds),
        **{str(status): run.counts.get(status, 0) for status in Status if status is not Status.PENDING},
        "wall_seconds": round(run.wall, 1),
        "make_seconds": round(run.make_seconds, 1),
        "cores": cores,
        "efficiency": round(run.efficiency(cores), 3),
    }


def _told(run: Run, cores: int) -> dict[str, object]:
    when = datetime.fromtimestamp(run.started, UTC).strftime("%Y-%m-%d %H:%M UTC")
    statuses = ", ".join(f"{run.counts[status]} {status}" for status in Status if run.counts.get(status))
    return {
        "run of": when,
        "kernels": run.kernels,
        "builds": f"{len(run.builds)} ({statuses})",
        "wall time": f"{run.wall:.1f} s",
        "bare make": f"{run.make_seconds:.1f} s of CPU",
        "cores": cores,
        "efficiency": f"{run.efficiency(cores):.1%} of cores x wall time",
    }
