"""`kmodci bench`: how well a run used the machine."""

import time
from pathlib import Path

import click

from ..engines import engines_of
from ..errors import NotFound
from ..runs import Ending, Run, RunEntry, Totals, totals
from ..runstore import RunStore
from ..settings import Settings, load
from .completing import complete_runs
from .options import config_option, json_option
from .output import print_facts, print_json
from .remembered import farm_store


@click.command()
@click.argument("run", default="", shell_complete=complete_runs)
@config_option
@json_option
def bench(run: str, config: Path, as_json: bool) -> None:
    """Tell how well a run used the machine: RUN, or the newest.

    The CPU time of the bare make, as it was measured in the containers, over cores x wall time: 100 % would be
    make on every core all the time. The wall time is from the start of the run to the end of its last build.

    \b
    kmodci bench
    scripts/bench efficiency      a whole run, from an empty state, and one more from its header bundles
    """
    settings = load(config)
    store = farm_store(settings)
    runs = RunStore(store) if store else None
    found = (runs.run(run) if run else next(iter(runs.runs(limit=1)), None)) if runs else None
    if runs is None or found is None:
        what = f"there is no run {run}" if run else "nothing was built here yet"
        raise NotFound(what, hint="`kmodci runs` lists them; scripts/bench makes one, and tells")
    entries = runs.entries(found.id)
    facts = _facts(found, entries, totals(entries), _cores(settings))
    if as_json:
        print_json(facts)
    else:
        print_facts(_told(facts), width=14)


def _cores(settings: Settings) -> int:
    """Of all hosts. Raises EngineError."""
    engines = engines_of({name: host.host(name) for name, host in settings.build_hosts.items()}, farm="")
    return sum(engines.answer(name).cores for name in engines)


def _facts(run: Run, entries: tuple[RunEntry, ...], found: Totals, cores: int) -> dict[str, object]:
    wall = (run.finished or time.time()) - run.started
    return {
        "run": run.id,
        "kernels": len({(each.build_id.target, each.build_id.release) for each in entries}),
        "builds": found.planned,
        **{str(ending): found[ending] for ending in Ending},
        "left": found.left,
        "wall_seconds": round(wall, 1),
        "make_seconds": round(found.make_seconds, 1),
        "cores": cores,
        "efficiency": round(found.efficiency(cores=cores, wall=wall), 3),
    }


def _told(facts: dict[str, object]) -> dict[str, object]:
    ended = ", ".join(f"{facts[name]} {name}" for name in (*map(str, Ending), "left") if facts[name])
    return {
        "run": facts["run"],
        "kernels": facts["kernels"],
        "builds": f"{facts['builds']} ({ended})",
        "wall time": f"{facts['wall_seconds']} s",
        "bare make": f"{facts['make_seconds']} s of CPU",
        "cores": facts["cores"],
        "efficiency": f"{facts['efficiency']:.1%} of cores x wall time",
    }
