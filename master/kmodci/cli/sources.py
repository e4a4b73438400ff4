"""How the sources are printed: a line each, what is wrong with any below, for `kmodci kernels --sources`."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from ..quantities import age_text
from ..sourceview import Health, SourceView, plain
from .output import note, print_json, print_table

_COLUMNS = ("source", "state", "kernels", "gone", "problems", "last good look", "last try", "published")
_NUMBERS = ("kernels", "gone", "problems")


def print_sources(found: Sequence[SourceView], *, with_problems: bool, as_json: bool) -> None:
    """with_problems: each, not only how many; JSON has them always."""
    now = time.time()
    if as_json:
        print_json({"sources": [plain(each, now) for each in found]})
        return
    print_table(_COLUMNS, (_cells(each, now) for each in found), right=_NUMBERS)
    for each in found:
        if each.health is Health.IDLE:
            click.echo(f"{each.name}: not looked at: {each.idle}")
        elif each.state.error:
            click.echo(f"{each.name}: {each.fault}")
            if each.state.hint:
                click.echo(f"  hint: {each.state.hint}")
            if each.state.doubt:
                click.echo(f"  in doubt since {_clock(each.state.doubt.since)}")
            if each.accepted:
                click.echo(f"  accepted by {each.accepted}: taken at its word at the next look")
        for fault in each.state.mirror_faults:
            click.echo(f"{each.name}: a mirror failed, another one answered: {fault}")
        if with_problems:
            for problem in each.problems:
                click.echo(f"{each.name}: problem: {problem}")
    told = [f"{count} {health}" for health in Health if (count := sum(each.health is health for each in found))]
    note(f"{len(found)} sources: {', '.join(told)}")


def _cells(seen: SourceView, now: float) -> list[object]:
    state = seen.state
    numbers = [number or "" for number in (seen.listed, seen.gone, len(seen.problems))]
    dated = _clock(state.dated) if state.dated else ""
    return [seen.name, seen.health, *numbers, _ago(state.last_ok, now), _ago(state.last_try, now), dated]


def _clock(when: float) -> str:
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M} UTC"


def _ago(when: float, now: float) -> str:
    return f"{age_text(now - when)} ago" if when else "never"
