"""`kmodci runs`: what was planned, and what became of it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from ..quantities import duration_text
from ..runview import NOT_BUILT, groups
from ..told import RunTold, RunWholeTold
from .answers import Answers
from .completing import complete_runs
from .options import answers_option, json_option
from .output import note, print_facts, print_json, print_table

_MOST = 20


@click.command()
@click.argument("run", default="", shell_complete=complete_runs)
@click.option(
    "--limit",
    default=_MOST,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many runs to list, the newest first.",
)
@answers_option(scope=False)
@json_option
def runs(run: str, limit: int, answers: Answers, as_json: bool) -> None:
    """List the runs, or tell all of one: RUN.

    A run is what became due at once: the first look at everything, a new kernel for every module, a new version of a
    module for every kernel, or a build that somebody forced.

    \b
    kmodci runs
    kmodci runs 2026-11-23-231500
    kmodci runs --server https://farm.example.com/
    """
    if run:
        found = answers.run(run)
        if as_json:
            print_json(found.plain())
        else:
            print_run(found)
        return
    listed = answers.runs(limit)
    if as_json:
        print_json({"runs": [each.plain() for each in listed]})
    elif listed:
        _list(listed)
    else:
        note("no run yet: the farm's first plan opens one; `kmodci plan` tells what is due, `kmodci up` starts a farm")


def _list(listed: Sequence[RunTold]) -> None:
    columns = ("run", "state", "planned", "built", "failed", "other", "left", "wall s")
    rows, now = [], time.time()
    for each in listed:
        other = sum(each.endings.values()) - each.built - each.failed
        numbers = (each.planned, each.built, each.failed, other, each.left)
        rows.append([each.id, each.state, *(number or "" for number in numbers), f"{wall(each, now):.0f}"])
    print_table(columns, rows, right=columns[2:])
    if any(each.is_open for each in listed):
        note("`kmodci watch` follows the newest that is open")


def wall(run: RunTold, now: float) -> float:
    """Seconds that it took, or has taken so far. now: seconds since the epoch, by this machine's clock."""
    return max(0.0, (run.finished or now) - run.started)


def print_run(run: RunWholeTold) -> None:
    """All of a run, and why what is not built is not."""
    about = f", about {duration_text(run.eta_seconds)}" if run.eta_seconds else ""
    print_facts(
        {
            "run": run.id,
            "state": run.state,
            "started": f"{datetime.fromtimestamp(run.started, UTC):%Y-%m-%d %H:%M:%S} UTC",
            "planned": f"{run.planned} ({', '.join(f'{count} {why}' for why, count in run.why.items())})",
            "ended": ", ".join(f"{count} {ending}" for ending, count in run.endings.items()),
            "left": f"{run.left}{about}" if run.left else "",
            "wall time": f"{wall(run, time.time()):.0f} s",
            "bare make": f"{run.make_seconds:.0f} s of CPU",
        }
    )
    found = groups([each.entry for each in run.builds])
    for ending in NOT_BUILT:
        for group in [each for each in found if each.ending is ending][:_MOST]:
            click.echo(f"{len(group.builds)} {ending}: {group.cause} (as {group.builds[0]})")
