"""How the sources are printed: a line each, what is wrong with any below, for `kmodci kernels --sources`."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from ..quantities import age_text
from ..sourceview import Health
from ..told import SourceTold
from .output import note, print_json, print_table

_COLUMNS = ("source", "state", "kernels", "gone", "problems", "last good look", "last try", "published")
_NUMBERS = ("kernels", "gone", "problems")


def print_sources(found: Sequence[SourceTold], *, with_problems: bool, as_json: bool) -> None:
    """with_problems: each, not only how many; JSON has them always."""
    now = time.time()
    if as_json:
        print_json({"sources": [each.plain() for each in found]})
        return
    print_table(_COLUMNS, (_cells(each, now) for each in found), right=_NUMBERS)
    for each in found:
        if each.health == Health.IDLE:
            click.echo(f"{each.name}: not looked at: {each.idle}")
        elif each.error:
            _tell_fault(each)
        for fault in each.mirror_faults:
            click.echo(f"{each.name}: a mirror failed, another one answered: {fault}")
        if with_problems:
            for problem in each.problems:
                click.echo(f"{each.name}: problem: {problem}")
    told = [f"{count} {health}" for health in Health if (count := sum(each.health == health for each in found))]
    note(f"{len(found)} sources: {', '.join(told)}")


def _tell_fault(seen: SourceTold) -> None:
    click.echo(f"{seen.name}: {seen.fault}")
    if seen.hint:
        click.echo(f"  hint: {seen.hint}")
    if seen.doubt:
        click.echo(f"  in doubt since {_clock(seen.doubt.since)}")
        if seen.doubt.accepted_by:
            click.echo(f"  accepted by {seen.doubt.accepted_by}: taken at its word at the next look")


def _cells(seen: SourceTold, now: float) -> list[object]:
    numbers = [number or "" for number in (seen.kernels, seen.gone, len(seen.problems))]
    published = _clock(seen.published) if seen.published else ""
    return [seen.name, seen.health, *numbers, _ago(seen.last_ok, now), _ago(seen.last_try, now), published]


def _clock(when: float) -> str:
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M} UTC"


def _ago(when: float | None, now: float) -> str:
    return f"{age_text(now - when)} ago" if when else "never"
