"""What is done about a question for a module: it is told, asked for, or refused. Decides, and does nothing."""

from enum import Enum

from .board import RUNNING
from .model import Status
from .ondemand import OUTSIDE, Answer


class Demand(Enum):
    """What to do."""

    BUILT = "tell what is published"
    COMING = "tell that it is coming"
    BUILD = "have it built before all that waits"
    ASK_WHO = "it would have to be asked for, and who asks may not"
    UNREAD = "it cannot be said yet what would be built"
    REFUSE = "tell why it is not built"


def decide(answer: Answer, *, rebuild: bool, may_build: bool, is_cancelled: bool) -> Demand:
    """rebuild: also what has ended; may_build: who asks; is_cancelled: a pending build waits for a person to ask."""
    if answer.is_built and answer.planned is None and rebuild:
        # of another version than the one that its source is at
        return Demand.REFUSE
    if answer.is_built and not rebuild:
        # also what is being built once more
        return Demand.BUILT
    if answer.state == RUNNING:
        return Demand.COMING
    if answer.planned is None or answer.planned.skipped:
        return Demand.REFUSE
    if answer.state == Status.PENDING:
        if not answer.version:
            return Demand.UNREAD
        if may_build:
            return Demand.BUILD
        return Demand.ASK_WHO if is_cancelled and not answer.place else Demand.COMING
    if not rebuild or answer.state in (Status.SKIPPED, OUTSIDE):
        return Demand.REFUSE
    return Demand.BUILD if may_build else Demand.ASK_WHO


def why_refused(answer: Answer) -> tuple[str, str]:
    """In words: what, and what to do about it."""
    name = f"{answer.build_id} in version {answer.version or '(unknown)'}"
    if answer.is_built and answer.planned is None:
        hint = "ask without `rebuild` for what is published"
        return f"{name} is published, and not built again: only the version that its source is at is", hint
    hint = {
        Status.FAILED: "its log says why; `rebuild`, by who may build, tries once more",
        Status.UNAVAILABLE: "what it needs is gone; `rebuild`, by who may build, asks for it once more",
        Status.SKIPPED: "known-failures.yml, targets.yml or the module's dkms.conf leave it out",
        OUTSIDE: "`scopes:` in kmodci.yml, and `kernels:` in modules.yml, say what is built",
    }.get(answer.state, "")
    if answer.others:
        hint = f"{hint}; published for this kernel: version {', '.join(answer.others)}"
    return f"{name} is {answer.state}: {answer.reason or 'no reason is known'}", hint
