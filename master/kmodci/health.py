"""Whether a farm works: what is asked of its parts, judged. Decides, and does nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .quantities import age_text
from .sourceview import Health, SourceView

PARTS = ("database", "bucket", "engine")
POLLS = 6
"""how many polls a source may fail before that is a reason not to be called healthy"""
_LATE_PLAN = 600.0
LATE_BOARD = 900.0
"""seconds; from then on a board says nothing any more of how things stand"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What was seen. Times are seconds since the epoch; 0 is never."""

    faults: Mapping[str, str] = field(default_factory=dict)
    """by part: what is wrong with it; empty if nothing is. One that was not asked yet is not there"""
    sources: Sequence[SourceView] = ()
    shortage: str = ""
    """of the disk"""
    free: int | None = None
    """bytes of the disk of the state; None if nobody looked"""
    planned: float = 0.0
    """when the scheduler last made a plan"""
    board: float = 0.0
    """when the board was made"""
    containers: int | None = None
    """that are there; None if the engine did not say"""


def problems(vitals: Vitals, *, interval: float, started: float, now: float) -> tuple[str, ...]:
    """Why the farm is not healthy. interval: of the polls, seconds; started: when the master was."""
    found = [f"{part}: not asked yet" for part in PARTS if part not in vitals.faults]
    found += [f"{part}: {fault}" for part, fault in vitals.faults.items() if fault]
    if vitals.shortage:
        found.append(f"disk: {vitals.shortage}")
    for name, last, most in (
        ("scheduler: its last plan is", vitals.planned, _LATE_PLAN),
        ("board: it is", vitals.board, LATE_BOARD),
    ):
        if not last and now - started > most:
            found.append(f"{name.partition(':')[0]}: there is none yet")
        elif last and now - last > most:
            found.append(f"{name} {age_text(now - last)} old")
    return (*found, *_stale(vitals.sources, interval=interval, started=started, now=now))


def _stale(sources: Sequence[SourceView], *, interval: float, started: float, now: float) -> list[str]:
    """The sources that were not read for long, while the farm was there to read them."""
    most, found = POLLS * interval, []
    for each in sources:
        since = max(each.state.last_ok, started) if each.state.last_ok else started
        if each.health is not Health.IDLE and now - since > most and now - each.state.last_ok > most:
            age = f"for {age_text(now - each.state.last_ok)}" if each.state.last_ok else "yet"
            found.append(f"source {each.name}: not read {age}{f': {each.fault}' if each.fault else ''}"[:300])
    return found
