"""`kmodci runs`: what was planned, and what became of it."""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from ..errors import NotFound
from ..runs import Ending, Run, RunEntry, Totals, eta, totals
from ..runstore import RunStore
from ..settings import load
from .options import config_option, json_option
from .output import note, print_facts, print_json, print_table
from .view import farm_store

_NOT_BUILT = (Ending.FAILED, Ending.FAULT, Ending.UNAVAILABLE, Ending.SKIPPED, Ending.CANCELLED)
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
        print_json({"runs": [_plain(run, sums[run.id]) for run in found]})
        return
    if not found:
        note("no run yet: the farm's first plan opens one")
        return
    columns = ("run", "state", "planned", "built", "failed", "other", "left", "wall s")
    rows = []
    for run in found:
        each = sums[run.id]
        other = sum(each.endings.values()) - each[Ending.BUILT] - each[Ending.FAILED]
        numbers = (each.planned, each[Ending.BUILT], each[Ending.FAILED], other, each.left)
        rows.append([run.id, _state(run), *(number or "" for number in numbers), f"{_wall(run):.0f}"])
    print_table(columns, rows, right=columns[2:])


def _tell_one(run: Run, entries: Sequence[RunEntry], *, as_json: bool) -> None:
    found = totals(entries)
    whys = Counter(str(each.why) for each in entries)
    if as_json:
        builds = [
            {
                "build_id": str(each.build_id),
                "why": each.why,
                "chunk": each.chunk,
                "ending": each.ending,
                "cause": each.cause,
                "seconds": round(each.seconds, 3),
                "build_url": each.build_url,
            }
            for each in entries
        ]
        print_json({**_plain(run, found), "why": whys, "builds": builds})
        return
    seconds = eta(run, entries, time.time())
    print_facts(
        {
            "run": run.id,
            "state": _state(run),
            "started": f"{datetime.fromtimestamp(run.started, UTC):%Y-%m-%d %H:%M:%S} UTC",
            "planned": f"{found.planned} ({', '.join(f'{count} {why}' for why, count in whys.most_common())})",
            "ended": ", ".join(f"{count} {ending}" for ending, count in found.endings.items()),
            "left": f"{found.left}" + (f", about {seconds:.0f} s" if seconds else "") if found.left else "",
            "wall time": f"{_wall(run):.0f} s",
            "bare make": f"{found.make_seconds:.0f} s of CPU",
        }
    )
    for ending in _NOT_BUILT:
        for cause, count in Counter(each.cause for each in entries if each.ending is ending).most_common(_MOST):
            click.echo(f"{count} {ending}: {cause}")


def _state(run: Run) -> str:
    if run.cancelled:
        return f"cancelled by {run.cancelled}"
    return "open" if run.is_open else "ended"


def _wall(run: Run) -> float:
    return (run.finished or time.time()) - run.started


def _plain(run: Run, found: Totals) -> dict[str, object]:
    return {
        "id": run.id,
        "state": _state(run),
        "started": run.started,
        "finished": run.finished or None,
        "planned": found.planned,
        **{str(ending): found[ending] for ending in Ending},
        "left": found.left,
        "make_seconds": round(found.make_seconds, 1),
    }
