"""What a farm tells of itself, as it goes over HTTP and as the command line prints it.

The same types whether a farm was asked (`apiclient`) or its files were read: so both print alike, and give the same
JSON. What a newer farm says beyond this is passed over. Text is fit for a terminal: what a compiler or a mirror has
said is in it.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

from .board import RUNNING
from .matrix import Why
from .model import BuildId, Status
from .runs import Ending, RunEntry
from .runview import LEFT

COMING = (str(Status.PENDING), RUNNING)
"""states of a build that goes on by itself"""
# what moves the cursor, changes colours or titles: C0 but for tab and newline, DEL, C1
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Without what a terminal would obey."""
    return _CONTROLS.sub("", text)


def _waits(status: object) -> object:
    """What runs counts as pending."""
    return Status.PENDING if status == RUNNING else status


Text = Annotated[str, AfterValidator(printable)]


class Told(BaseModel):
    """What all have in common. Times are seconds since the epoch, sizes bytes."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def plain(self) -> dict[str, object]:
        """For JSON."""
        return self.model_dump(mode="json")


class FileTold(Told):
    """A file that is published."""

    name: Text
    url: Text
    sha256: Text
    size: int
    module: Text = ""
    vermagic: Text = ""
    depends: tuple[Text, ...] = ()


class BuildTold(Told):
    """One build, as an on-demand question is answered."""

    id: Text
    """of the question"""
    build_id: Text
    module: Text
    version: Text
    """of the module"""
    distro: Text
    series: Text
    arch: Text
    kernel_release: Text
    kernel_version: Text = ""
    status: Text
    """`built`, `running`, `pending`, `failed`, `unavailable`, `skipped` or `outside`"""
    reason: Text = ""
    place: int | None = None
    """in the queue, from 1"""
    eta_seconds: float | None = None
    status_url: Text = ""
    page_url: Text = ""
    log_url: Text | None = ""
    build_url: Text | None = ""
    manifest: Text | None = ""
    files: tuple[FileTold, ...] = ()
    others: tuple[Text, ...] = ()
    """other versions of the module that are published for this kernel"""
    finished: float | None = None
    """when it last ended"""
    toolchain: Text | None = ""
    exact: bool | None = None
    """whether that is the compiler that the kernel was built with"""

    @property
    def is_coming(self) -> bool:
        """Whether it runs, or will be built."""
        return self.status in COMING


class StandingTold(Told):
    """How one build of the matrix stands."""

    build_id: Text
    flavour: Text = ""
    status: Annotated[Status, BeforeValidator(_waits)]
    cause: Text = ""
    gone: bool = False
    """whether its kernel is one that no repository lists any more"""

    @property
    def name(self) -> str:
        """Its build id."""
        return self.build_id

    @property
    def is_gone(self) -> bool:
        """The same as `gone`."""
        return self.gone


class HeaderTold(Told):
    """A package that a kernel's headers are in."""

    name: Text
    version: Text
    url: Text
    sha256: Text


class KernelTold(Told):
    """A kernel that a repository lists, or has listed."""

    target: Text
    release: Text
    version: Text
    flavour: Text
    toolchain: Text
    repository: Text
    gone: float | None = None
    """since when it is not listed any more"""
    headers: tuple[HeaderTold, ...] = ()
    """empty where a farm was asked: it does not tell them"""

    @model_validator(mode="before")
    @classmethod
    def _of_parts(cls, data: object) -> object:
        """Over HTTP a target is told in its parts."""
        parts = ("distro", "series", "arch")
        if isinstance(data, dict) and "target" not in data and all(isinstance(data.get(part), str) for part in parts):
            return {**data, "target": "-".join(data[part] for part in parts)}
        return data


class DoubtTold(Told):
    """What a source says and is not believed yet."""

    what: Text
    since: float
    looks: int
    looks_needed: int
    accepted_by: Text = ""


class SourceTold(Told):
    """A repository, or where a module is from (`sourceview.plain`)."""

    name: Text
    kind: Text
    health: Text
    idle: Text = ""
    kernels: int = 0
    gone: int = 0
    modules: tuple[Text, ...] = ()
    published: float | None = None
    last_ok: float | None = None
    age_seconds: int | None = None
    last_try: float | None = None
    error: Text = ""
    hint: Text = ""
    mirror_faults: tuple[Text, ...] = ()
    problems: tuple[Text, ...] = ()
    doubt: DoubtTold | None = None

    @property
    def fault(self) -> str:
        """Why the last look failed, without the name again; empty if it did not."""
        return self.error.removeprefix(self.name).removeprefix(":").lstrip()


class RunTold(Told):
    """A run, added up (`runview.plain`)."""

    id: Text
    state: Text
    started: float
    finished: float | None = None
    planned: int
    built: int = 0
    failed: int = 0
    unavailable: int = 0
    skipped: int = 0
    cancelled: int = 0
    fault: int = 0
    superseded: int = 0
    left: int = 0
    make_seconds: float = 0.0

    @property
    def is_open(self) -> bool:
        return self.finished is None

    @property
    def endings(self) -> dict[Ending, int]:
        """How many ended how, of the endings that there are."""
        return {ending: count for ending in Ending if (count := int(getattr(self, ending)))}

    @property
    def is_good(self) -> bool:
        """Whether nothing failed. What is unavailable or skipped is nobody's failure."""
        return not (self.failed or self.fault or self.cancelled)

    @property
    def counts(self) -> str:
        """`12 built, 1 failed, 3 left`."""
        parts = [f"{count} {ending}" for ending, count in self.endings.items()]
        return ", ".join([*parts, *([f"{self.left} {LEFT}"] if self.left else [])])


class RunBuildTold(Told):
    """One build of a run."""

    build_id: Text
    why: Why
    chunk: int = 0
    ending: Ending | None = None
    cause: Text = ""
    seconds: float = 0.0
    build_url: Text = ""

    @property
    def entry(self) -> RunEntry:
        """As the ledger has it, as far as it is told. Raises BadName."""
        return RunEntry(
            build_id=BuildId.parse(self.build_id),
            key="",
            why=self.why,
            chunk=self.chunk,
            ending=self.ending,
            cause=self.cause,
            seconds=self.seconds,
            build_url=self.build_url,
        )


class RunWholeTold(RunTold):
    """A run with its builds, in the order of the plan (`runview.plain_whole`)."""

    why: dict[Why, int]
    builds_a_minute: float = 0.0
    eta_seconds: float | None = None
    builds: tuple[RunBuildTold, ...] = ()


class RefusalTold(Told):
    """Why an answer is none."""

    message: Text
    hint: Text = ""
    fields: dict[Text, Text] | None = None
    """what is wrong with each"""
    nearest: tuple[Text, ...] | None = None
    id: Text | None = None
    """of the question, where it is a build's status that is in the way"""
