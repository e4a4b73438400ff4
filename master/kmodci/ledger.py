"""The ledger of runs: opens one for what became due, follows each to its end, writes it into the bucket.

One per farm, in the master: it alone writes runs. Not safe to be called from two threads at once.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from .errors import NotFound
from .keys import run_key
from .manifest import Record
from .matrix import Planned
from .model import Hold, Outcome
from .objects import Objects
from .runrecords import chunk_record, matrix_record, summary_record
from .runs import Ending, Run, RunEntry, cut, new_id, settle
from .runstore import RunStore
from .store import Store

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True)
class _OpenRun:
    run: Run
    entries: dict[str, RunEntry]
    """by build id, in the order of the plan"""
    left: dict[str, None] = field(init=False)
    """what has not ended, in the same order"""
    unwritten: dict[int, list[str]] = field(init=False)
    """the chunks that are not in the bucket, each with its builds"""
    _left_of: Counter[int] = field(init=False)
    """how many builds of each chunk have not ended: a run of thousands is not counted anew for each that does"""

    def __post_init__(self) -> None:
        self.left = {name: None for name, entry in self.entries.items() if entry.ending is None}
        self._left_of = Counter(self.entries[name].chunk for name in self.left)
        self.unwritten = {}
        for name, entry in self.entries.items():
            self.unwritten.setdefault(entry.chunk, []).append(name)

    def note(self, entries: Iterable[RunEntry]) -> None:
        for entry in entries:
            name = str(entry.build_id)
            if name in self.left:
                self._left_of[entry.chunk] -= 1
                del self.left[name]
            self.entries[name] = entry

    def rename(self, former: Mapping[str, str], keys: Mapping[str, str]) -> None:
        """What is left is the same build when its kernel's headers have told the compiler, under another key."""
        for name in self.left:
            if self.entries[name].key == former.get(name) and name in keys:
                self.entries[name] = replace(self.entries[name], key=keys[name])

    def ended_chunks(self) -> list[int]:
        return [chunk for chunk in self.unwritten if not self._left_of[chunk]]


@dataclass(slots=True, kw_only=True)
class Ledger:
    """Everything may raise StoreError, and be called again then: nothing is noted that was not done."""

    store: Store
    runs: RunStore
    bucket: Objects
    slots: int
    """builds at once"""
    chunk_length: int
    """builds of a chunk"""
    _open: dict[str, _OpenRun] | None = None

    @property
    def open_runs(self) -> Mapping[str, _OpenRun]:
        """By id, the newest first: what appeared last is waited for most, and is the shortest as a rule."""
        if self._open is None:
            found = self.runs.runs(is_open=True)
            self._open = {run.id: _OpenRun(run, _by_name(self.runs.entries(run.id))) for run in found}
        return self._open

    def look(
        self,
        planned: Sequence[Planned],
        wanted: Mapping[str, str],
        keys: Mapping[str, str],
        outcomes: Mapping[str, Outcome],
        holds: Mapping[str, Hold],
        *,
        former: Mapping[str, str] = _NONE,
        skipped: Mapping[str, str] = _NONE,
    ) -> None:
        """Settles the open runs by a plan made just now, and opens a run for what is due and in none of them.

        planned: all that could be built now; wanted: the keys of all that is to be built, for what waits for an image,
        or for a source to be read, stays in its run; keys: of the whole matrix, outcomes, holds: by build id;
        former: the keys that some had before their kernels' headers were read; skipped: why some are not to be built.
        """
        for found in list(self.open_runs.values()):
            found.rename(former, keys)
            ended = [
                after
                for name in found.left
                if (
                    after := settle(
                        found.entries[name],
                        outcome=outcomes.get(name),
                        hold=holds.get(name),
                        due=wanted,
                        keys=keys,
                        skipped=skipped.get(name, ""),
                    )
                ).ending
            ]
            self._note(found, ended)
        held = {name for found in self.open_runs.values() for name in found.left}
        self.open([each for each in planned if str(each.entry.build_id) not in held], outcomes, holds)

    def open(self, planned: Sequence[Planned], outcomes: Mapping[str, Outcome], holds: Mapping[str, Hold]) -> None:
        """Opens a run, unless it is empty; its plan is in the bucket before anything of it starts."""
        if not planned:
            return
        now = time.time()
        run = Run(id=new_id(now, {run.id for run in self.runs.runs(limit=100)}), started=now, slots=self.slots)
        entries = cut(planned, length=self.chunk_length, outcomes=outcomes, holds=holds)
        self._put(run, "matrix", matrix_record(run, entries))
        self.runs.put_run(run, entries)
        self._open = {run.id: _OpenRun(run, _by_name(entries)), **self.open_runs}

    def open_forced(self, planned: Planned) -> None:
        """Opens a run of one build that a person asks for, unless it is part of an open one."""
        name = planned.entry.build_id
        if not any(str(name) in found.left for found in self.open_runs.values()):
            outcome = self.store.outcome(name)
            self.open([planned], {str(name): outcome} if outcome else {}, {})

    def ended(self, names: Collection[str]) -> bool:
        """Settles the entries of builds that have ended. names: build ids. Returns whether it could tell of all how."""
        told = set()
        for found in list(self.open_runs.values()):
            ended = []
            for name in found.left.keys() & set(names):
                entry = found.entries[name]
                outcome, hold = self.store.outcome(entry.build_id), self.runs.hold(entry.build_id)
                after = settle(entry, outcome=outcome, hold=hold, due=None, keys=None)
                if after.ending:
                    ended.append(after)
                    told.add(name)
            self._note(found, ended)
        return told == set(names)

    def left(self) -> Iterator[RunEntry]:
        """What is still to be built, in its order."""
        for found in self.open_runs.values():
            yield from (found.entries[name] for name in list(found.left))

    def names(self) -> Iterator[str]:
        """The build ids of the same, as far as they have been read; may be called while another thread notes ends."""
        for found in list((self._open or {}).values()):
            yield from list(found.left)

    def run_of(self, name: str) -> str:
        """The open run that a build is still to be built in, or none; as `names`. name: a build id."""
        return next((found.run.id for found in list((self._open or {}).values()) if name in found.left), "")

    def cancel(self, run: str, *, by: str, running: Collection[str]) -> tuple[str, ...]:
        """Ends all of a run that is not running. by: who wants it; running: build ids. Raises NotFound.

        Returns the build ids of what is left: they end by themselves. What was cancelled is held until a
        person asks for it.
        """
        found = self.open_runs.get(run)
        if found is None:
            raise NotFound(f"no run {run} is open", hint="`kmodci runs` lists them")
        now = time.time()
        found.run = replace(found.run, cancelled=by or "nobody")
        self.runs.update_run(found.run)
        reason = f"cancelled by {found.run.cancelled} with its run {run}"
        gone = [found.entries[name] for name in found.left if name not in running]
        self.runs.put_holds([Hold(build_id=each.build_id, key=each.key, reason=reason, noted=now) for each in gone])
        self._note(found, [replace(each, ending=Ending.CANCELLED, cause=reason, finished=now) for each in gone])
        return tuple(found.left)

    def _note(self, found: _OpenRun, ended: Sequence[RunEntry]) -> None:
        """Writes down what ended, and closes what is complete with it."""
        self.runs.update_entries(found.run.id, ended)
        found.note(ended)
        for chunk in found.ended_chunks():
            entries = [found.entries[name] for name in found.unwritten[chunk]]
            self._put(found.run, f"chunk-{chunk:03}", chunk_record(found.run, chunk, entries))
            del found.unwritten[chunk]
        if not found.left:
            entries = list(found.entries.values())
            last = max(entry.finished for entry in entries) or time.time()
            run = replace(found.run, finished=max(last, found.run.started))
            self._put(run, "summary", summary_record(run, entries))
            self.runs.update_run(run)
            if self._open is not None:
                del self._open[run.id]

    def _put(self, run: Run, part: str, record: Record) -> None:
        self.bucket.put(run_key(run.id, part), (record.model_dump_json(indent=1) + "\n").encode())


def _by_name(entries: Iterable[RunEntry]) -> dict[str, RunEntry]:
    return {str(entry.build_id): entry for entry in entries}
