"""News: what is worth telling of runs, of failures, of a module's commit. Records, as receivers get them in JSON."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from .manifest import Record
from .runs import Ending


class CauseNews(Record):
    """Builds of a run that were not built for one cause."""

    ending: Ending
    cause: str
    """in words that are equal for equal causes (`causes.group_name`)"""
    kernels: int
    modules: tuple[str, ...]


class FailingGroup(Record):
    """A module that does not build, and the cause."""

    module: str
    cause: str


class RunNews(Record):
    """A run has ended."""

    kind: Literal["run"] = "run"
    run: str
    url: str
    state: str
    """`ended`, or `cancelled by ...`"""
    is_forced: bool
    """whether all of it was asked for by hand"""
    started: float
    """seconds since the epoch, as `finished`"""
    finished: float
    planned: int
    endings: Mapping[Ending, int]
    causes: tuple[CauseNews, ...]
    """the largest"""
    more_causes: int
    mended: tuple[FailingGroup, ...]
    """the groups that fail no more, of those that were told of"""


class FailureNews(Record):
    """A module fails for a cause that it did not fail for before."""

    kind: Literal["failure"] = "failure"
    module: str
    cause: str
    since: float
    """when it was first seen; seconds since the epoch"""
    builds: tuple[str, ...]
    """build ids, some of them"""
    kernels: int
    """of how many kernels it is in all"""
    url: str
    """the run that it appeared in"""
    build_url: str
    """one of the builds"""


class ManyFailuresNews(Record):
    """More such groups at once than are told of one by one."""

    kind: Literal["failures"] = "failures"
    groups: int
    kernels: int
    largest: tuple[FailingGroup, ...]
    url: str


class CommitNews(Record):
    """How the commit of a module stands."""

    kind: Literal["commit"] = "commit"
    module: str
    host: str
    """that the repository is on"""
    repository: str
    """`owner/name`"""
    commit: str
    state: Literal["pending", "success", "failure"]
    words: str
    url: str


class TestNews(Record):
    """Somebody wants to know whether a receiver is reached."""

    # no class of tests, whatever its name says to pytest
    __test__ = False

    kind: Literal["test"] = "test"
    url: str


News = RunNews | FailureNews | ManyFailuresNews | CommitNews | TestNews
NEWS: TypeAdapter[News] = TypeAdapter(Annotated[News, Field(discriminator="kind")])
"""reads news from JSON"""
