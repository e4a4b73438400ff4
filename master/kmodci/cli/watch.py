"""`kmodci watch`: a run, as it goes."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import click
from rich.console import Console

from ..errors import KmodciError
from ..quantities import duration_text
from ..runs import Ending
from ..runview import NOT_BUILT
from ..told import RunBuildTold, RunTold, RunWholeTold
from .answers import Answers
from .bar import Bar
from .completing import complete_runs
from .interrupts import interruptible
from .options import answers_option, json_option
from .output import note
from .runs import print_run

_LOOK_EVERY, _LONGEST = 1.0, 15.0
# a look costs the farm as much as it takes, and is not to be more than a part of its work
_COST = 20
# for how long no farm may run before that is an end: one that is started again is none
_PATIENCE = 60.0
_MOST = 10
_MANY = 100
# told as they come; the others are no news while a run goes on
_FAILURES = (Ending.FAILED, Ending.FAULT, Ending.UNAVAILABLE)


@click.command()
@click.argument("run", default="", shell_complete=complete_runs)
@answers_option(scope=False)
@json_option
def watch(run: str, answers: Answers, as_json: bool) -> None:
    """Show how a run goes until it ends: RUN, or the newest that is open.

    What is not built is told as it comes. With --json, one line for each change. Exit status: 0 if nothing failed, 1
    if a build failed, or the run was cancelled.

    \b
    kmodci watch
    kmodci watch 2026-11-23-231500
    kmodci watch --json --server https://farm.example.com/
    """
    identity = run or _newest_open(answers)
    if not identity:
        return
    first = answers.run(identity, Ending.FAULT)
    if first.is_open and (stopped := answers.stopped):
        raise _is_stopped(identity, stopped)
    try:
        with interruptible():
            last = _follow(answers, first, as_json=as_json)
    except KeyboardInterrupt:
        note(f"the run goes on; `kmodci watch {identity}{answers.option}` shows it again")
        raise
    if not as_json:
        print_run(answers.run(identity))
    sys.exit(0 if last.is_good else 1)


def _is_stopped(identity: str, why: str) -> KmodciError:
    return KmodciError(f"run {identity} is open, and {why}")


def _newest_open(answers: Answers) -> str:
    listed = answers.runs(_MANY)
    found = next((each.id for each in listed if each.is_open), "")
    if not found and listed:
        last = listed[0]
        note(f"no run is open: nothing is due. The newest, {last.id}, has ended: {last.counts}")
        note(f"`kmodci runs {last.id}` tells all of it, `kmodci plan` what is due")
    elif not found:
        note("no run yet: the farm's first plan opens one; `kmodci up` starts a farm")
    return found


def _follow(answers: Answers, first: RunWholeTold, *, as_json: bool) -> RunTold:
    with Bar(Console(), is_shown=not as_json) as bar:
        seen = Seen(answers)
        now, last = first, None
        for now in _looks(answers, first):
            news = seen.news(now)
            if as_json:
                if (now.counts, now.state) != last:
                    _print_change(now, news)
                    last = (now.counts, now.state)
                continue
            _tell(bar, news)
            done = now.planned - now.left
            bar.update(line(now), completed=done, total=now.planned or None)
    return now


def _looks(answers: Answers, now: RunWholeTold) -> Iterator[RunWholeTold]:
    """The run, again and again until it has ended. Its builds are those that the farm failed: few, as a rule.

    Raises KmodciError when no farm has run for a while.
    """
    yield now
    ran = time.monotonic()
    while now.is_open:
        began = time.monotonic()
        now = answers.run(now.id, Ending.FAULT)
        yield now
        if now.is_open:
            if not (stopped := answers.stopped):
                ran = time.monotonic()
            elif time.monotonic() - ran > _PATIENCE:
                raise _is_stopped(now.id, stopped)
            time.sleep(min(max(_LOOK_EVERY, _COST * (time.monotonic() - began)), _LONGEST))


@dataclass(slots=True)
class Seen:
    """Which builds were told already."""

    answers: Answers
    _counts: dict[Ending, int] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def news(self, now: RunTold) -> list[RunBuildTold]:
        """What was not built and was not told yet. Builds of an ending are asked for when there are more of it."""
        found: list[RunBuildTold] = []
        for ending in NOT_BUILT:
            count = now.endings.get(ending, 0)
            if count != self._counts.get(ending, 0):
                builds = self.answers.run(now.id, ending).builds
                found += [each for each in builds if each.build_id not in self._names]
                self._counts[ending] = count
        self._names |= {each.build_id for each in found}
        return found


def _tell(bar: Bar, news: list[RunBuildTold]) -> None:
    told = [each for each in news if each.ending in _FAILURES]
    for each in told[-_MOST:]:
        bar.line(f"{each.ending} {each.build_id}: {each.cause}")
    if len(told) > _MOST:
        bar.line(f"and {len(told) - _MOST} more, told by cause at the end")


def _print_change(now: RunWholeTold, news: list[RunBuildTold]) -> None:
    plain = now.plain()
    del plain["builds"]
    told = [{"build_id": each.build_id, "ending": each.ending, "cause": each.cause} for each in news]
    click.echo(json.dumps({**plain, "not_built": told}))
    sys.stdout.flush()


def line(now: RunWholeTold) -> str:
    """`12 built, 1 failed, 3 left, 4.2 a minute, about 45s`."""
    words = [now.counts or f"nothing of {now.planned} yet"]
    if now.is_open and now.builds_a_minute:
        words.append(f"{now.builds_a_minute:.1f} a minute")
    if now.is_open and now.eta_seconds:
        words.append(f"about {duration_text(_roughly(now.eta_seconds))}")
    return ", ".join(words)


def _roughly(seconds: float) -> float:
    """An estimate is not good to the second."""
    return seconds if seconds < 120 else round(seconds / 60) * 60
