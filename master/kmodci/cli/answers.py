"""Who answers a command: the files of a farm, or a farm that runs. Both alike, so that commands need not know which."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from ..coverage import Counted
from ..told import KernelTold, RunTold, RunWholeTold, SourceTold
from .output import note

FACTS = (
    "kernel",
    "headers",
    "bundle",
    "compiler",
    "image",
    "module",
    "inputs",
    "last build",
    "page",
    "manifest",
    "log",
    "files",
)
"""what a build is explained by beside its status; each is empty where it is not known"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Why a build is what it is, and what it is made of."""

    build_id: str
    status: str
    why: str
    facts: Mapping[str, str]

    def plain(self) -> dict[str, object]:
        """For JSON."""
        facts = {name: self.facts.get(name, "") for name in FACTS}
        return {"build_id": self.build_id, "status": self.status, "why": self.why, **facts}


class Answers(Protocol):
    """May raise whatever error a user can meet (`errors`)."""

    @property
    def faults(self) -> Mapping[str, str]:
        """Source -> why it could not be read, when it was last tried."""

    @property
    def looked(self) -> bool:
        """Whether that was now, for this command."""

    @property
    def option(self) -> str:
        """What a command line says to ask here again; empty where nothing need be said."""

    @property
    def stopped(self) -> str:
        """Why nothing goes on there: no farm runs. Empty if one does."""

    def kernels(self, *, whole: bool = False) -> Sequence[KernelTold]:
        """The newest first. whole: also those that are not in scope."""

    def sources(self) -> Sequence[SourceTold]:
        """What wants a person first."""

    def builds(self) -> Sequence[Counted]:
        """Every build of the matrix."""

    def explain(self, build_id: str) -> Explained:
        """Raises BadName for what is no build id, NotFound with the nearest for an unknown one."""

    def runs(self, limit: int) -> Sequence[RunTold]:
        """The newest first."""

    def run(self, identity: str, ending: str = "") -> RunWholeTold:
        """ending: only the builds that ended so; empty for all. Raises NotFound."""


def end(answers: Answers) -> NoReturn:
    """Ends a command: tells what could not be read; that failed if it was now."""
    for name, fault in answers.faults.items():
        note(f"could not read {name}: {fault}")
    sys.exit(1 if answers.looked and answers.faults else 0)
