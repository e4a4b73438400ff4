"""Makes boards: of the last plan, and of what has ended since. May block, and raise StoreError; for a thread."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from .board import Board
from .coverage import Tally
from .errors import StoreError
from .farm import Farm
from .manifest import IndexEntry
from .model import BuildId, Outcome, Status
from .past import Arrival
from .planning import Plan
from .publishing import versions_of


@dataclass(slots=True, kw_only=True)
class BoardMaker:
    """Of a farm; one at a time."""

    farm: Farm
    say: Callable[[str], None]
    """for the log"""
    _plan: Plan = field(default_factory=Plan)
    _planned: Board = field(default_factory=Board)
    _versions: dict[str, list[str]] = field(default_factory=dict)
    """of each module, those that the index has"""
    _noted: Mapping[str, Tally] = field(default_factory=dict)

    def forget_versions(self) -> None:
        """The index is listed again: versions leave it at night (`gc`), and others come with a bucket restored."""
        self._versions = {}

    def take(self, plan: Plan) -> None:
        """Begins anew with this plan."""
        appearances, arrivals = self._past(plan.outcomes)
        self._planned = Board(
            is_whole=plan.is_whole,
            appearances=appearances,
            arrivals=arrivals,
            kernels=plan.kernels,
            standings={str(each.entry.build_id): each for each in plan.builds},
            keys=plan.keys,
            versions=plan.versions,
            waiting=plan.waiting,
            published={
                (module, version): self._published(module, version)
                for module, now in plan.versions.items()
                for version in self._versions_of(module, now.version)
            },
        )
        self._plan = plan

    def board(self, ended: Collection[str]) -> tuple[Board, frozenset[str]]:
        """As things are now, and which of these builds the plan knows nothing of: they are to be asked for again.

        ended: build ids of what has ended since, or before the plan was made.
        """
        found = {name: self.farm.store.outcome(BuildId.parse(name)) for name in ended}
        outcomes = [each for name, each in found.items() if each and each != self._plan.outcomes.get(name)]
        self._note_arrivals(outcomes)
        changed = {(each.build_id.module, each.module_version) for each in outcomes}
        published = {version: self._published(*version) for version in changed}
        board = self._planned.with_outcomes(outcomes)
        board = replace(board, published={**board.published, **published})
        self._note_tallies(board)
        return board, frozenset(str(each.build_id) for each in outcomes)

    def _versions_of(self, module: str, now: str) -> list[str]:
        if module not in self._versions:
            self._versions[module] = versions_of(self.farm.bucket, module)
        known = self._versions[module]
        if now not in known:
            # its first build is not published yet; nor is it listed again when another takes its place
            known.append(now)
        return known

    def _published(self, module: str, version: str) -> Mapping[str, IndexEntry]:
        return self.farm.publisher.entries(module, version)

    def _past(self, outcomes: Mapping[str, Outcome]) -> tuple[Mapping[tuple[str, str], float], Mapping[str, Arrival]]:
        """When kernels appeared, and how long the modules took that are built for them as they are now."""
        history = self.farm.history
        appearances = history.appearances()
        known = {(each.build_id, each.kernel_version) for each in history.arrivals()}
        # what a master had built that ended before it could note that
        self._note_arrivals(
            each
            for name, each in outcomes.items()
            if (name.partition("/")[2], each.kernel_version) in appearances and (name, each.kernel_version) not in known
        )
        arrivals = {
            each.build_id: each
            for each in history.arrivals()
            if (last := outcomes.get(each.build_id)) and last.kernel_version == each.kernel_version
        }
        return appearances, arrivals

    # Charts may lack something; nothing else waits for them.

    def _note_arrivals(self, outcomes: Iterable[Outcome]) -> None:
        try:
            for each in outcomes:
                if each.status is Status.BUILT:
                    self.farm.history.built(each)
        except StoreError as error:
            self.say(f"how long modules took is not noted: {error.brief}")

    def _note_tallies(self, board: Board) -> None:
        if not board.is_whole or board.tallies == self._noted:
            return
        try:
            self.farm.history.note_tallies(board.tallies, time.time())
            self._noted = board.tallies
        except StoreError as error:
            self.say(f"how coverage is is not noted: {error.brief}")
