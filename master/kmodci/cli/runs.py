"""`kmodci runs`: what was planned, and what became of it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from ..errors import NotFound
from ..runs import Ending, Run, RunEntry
from ..runstore import RunStore
from ..runview import NOT_BUILT, plain, plain_whole, state, view, wall
from ..settings import load
from .options import config_option, json_option
from .output import note, print_facts, print_json, print_table
from .view import farm_store

_MOST = 20


@click.command()
@click.argument("run", default="")
@click.option("--limit", default=_MOST, show_default=True, help="How many runs to list, the newest first.")
@config_option
@json_option
def runs(run: str, limit: int, config: Path, as_json: bool) -> None:
    """List the runs, or tell all of one: RUN.

    A run is what became due at once: the first look at everything, a new kernel for every module, a new version of a
    module for every kernel, or a build that somebody forced.

    \b
    kmodci runs
    kmodci runs 2026-11-23-231500
    """
    store = farm_store(load(config))
    known = RunStore(store) if store else None
    if run:
        found = known.run(run) if known else None
        if known is None or found is None:
            raise NotFound(f"there is no run {run}", hint="`kmodci runs` lists them")
        _tell_one(found, known.entries(run), as_json=as_json)
    else:
        _tell_all(known, limit, as_json=as_json)


def _tell_all(known: RunStore | None, limit: int, *, as_json: bool) -> None:
    found = known.runs(limit=limit) if known else []
    sums = known.totals([run.id for run in found]) if known else {}
    if as_json:
        print_json({"runs": [plain(run, sums[run.id]) for run in found]})
        return
    if not found:
        note("no run yet: the farm's first plan opens one")
        return
    columns = ("run", "state", "planned", "built", "failed", "other", "left", "wall s")
    rows, now = [], time.time()
    for run in found:
        each = sums[run.id]
        other = sum(each.endings.values()) - each[Ending.BUILT] - each[Ending.FAILED]
        numbers = (each.planned, each[Ending.BUILT], each[Ending.FAILED], other, each.left)
        rows.append([run.id, state(run), *(number or "" for number in numbers), f"{wall(run, now):.0f}"])
    print_table(columns, rows, right=columns[2:])


def _tell_one(run: Run, entries: Sequence[RunEntry], *, as_json: bool) -> None:
    seen = view(run, entries, time.time())
    if as_json:
        print_json(plain_whole(seen, entries))
        return
    found = seen.totals
    print_facts(
        {
            "run": run.id,
            "state": seen.state,
            "started": f"{datetime.fromtimestamp(run.started, UTC):%Y-%m-%d %H:%M:%S} UTC",
            "planned": f"{found.planned} ({', '.join(f'{count} {why}' for why, count in seen.whys.items())})",
            "ended": ", ".join(f"{count} {ending}" for ending, count in found.endings.items()),
            "left": f"{found.left}" + (f", about {seen.eta:.0f} s" if seen.eta else "") if found.left else "",
            "wall time": f"{seen.wall:.0f} s",
            "bare make": f"{found.make_seconds:.0f} s of CPU",
        }
    )
    for ending in NOT_BUILT:
        groups = [group for group in seen.groups if group.ending is ending]
        for group in groups[:_MOST]:
            click.echo(f"{len(group.builds)} {ending}: {group.cause}")
