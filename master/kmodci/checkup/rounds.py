"""Runs checks side by side, each within its own time; one that hangs or breaks is told of, and holds up no other."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from kmodci.errors import KmodciError
from kmodci.findings import Finding, Report, note, wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing to look at."""

    part: str
    where: str
    look: Callable[[], Iterable[Finding]]
    """called in a thread of its own, which nobody waits for once its time is over"""
    seconds: float = 30.0
    """wall time"""


def make_round(
    checks: Sequence[Check], on_end: Callable[[Report, int], None] = lambda _report, _left: None
) -> tuple[Report, ...]:
    """What each came to, in their order. on_end: called with each as it ends, and how many are left."""
    done: queue.SimpleQueue[tuple[int, Report]] = queue.SimpleQueue()
    began = time.monotonic()
    for number, check in enumerate(checks):
        # a daemon: one that hangs in a library shall not keep the program from ending
        threading.Thread(target=lambda n=number, c=check: done.put((n, _look(c))), daemon=True).start()
    found: dict[int, Report] = {}
    while len(found) < len(checks):
        waiting = [number for number in range(len(checks)) if number not in found]
        first = min(waiting, key=lambda number: checks[number].seconds)
        try:
            number, report = done.get(timeout=max(began + checks[first].seconds - time.monotonic(), 0.0))
        except queue.Empty:
            number, report = first, _late(checks[first])
        # what was given up may still answer
        if number not in found:
            found[number] = report
            on_end(report, len(checks) - len(found))
    return tuple(found[number] for number in range(len(checks)))


def _look(check: Check) -> Report:
    report, began = Report(part=check.part, where=check.where, findings=()), time.monotonic()
    try:
        findings = tuple(check.look())
    except KmodciError as error:
        findings = (of_error(error),)
    except Exception as error:
        # whatever it is, the other checks are told
        what = f"this check broke: {type(error).__name__}: {_first_line(str(error))}"
        findings = (wrong(what, "a fault of kmodci's own, or something that it has never met: please report it"),)
    return replace(report, findings=findings, seconds=time.monotonic() - began)


def of_error(error: KmodciError) -> Finding:
    """As it is told anywhere."""
    return wrong(_first_line(error.brief), error.hint)


def unlooked(why: str) -> tuple[Finding, ...]:
    """Of what there is nothing of to look at."""
    return (note(why),)


def _late(check: Check) -> Report:
    what = f"no answer within {check.seconds:.0f} s"
    advice = "something hangs: is the network, the disk or the server that is asked here well?"
    return Report(part=check.part, where=check.where, findings=(wrong(what, advice),), seconds=check.seconds)


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")[:400]
