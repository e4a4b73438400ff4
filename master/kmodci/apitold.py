"""How a build stands, in the words of the HTTP API."""

from .addresses import Addresses
from .apianswers import BuildTold, ErrorTold, FileTold
from .board import RUNNING, Board
from .manifest import IndexEntry
from .ondemand import Answer


def build_told(answer: Answer, board: Board, addresses: Addresses, *, slots: int) -> BuildTold:
    """The answer to a question, as it is sent. slots: builds at once."""
    build, name = answer.build_id, str(answer.build_id)
    standing, entry = board.standings.get(name), answer.entry
    last = standing.outcome if standing and answer.planned else None
    planned = answer.planned
    return BuildTold(
        id=answer.id,
        build_id=name,
        module=build.module,
        version=answer.version,
        distro=build.target.distro,
        series=build.target.series,
        arch=build.target.arch,
        kernel_release=build.release,
        kernel_version=entry.kernel_version if entry else answer.kernel.version,
        status=answer.state,  # type: ignore[arg-type] # checked as it is made
        reason=answer.reason,
        place=answer.place or None,
        eta_seconds=_eta(answer, board, slots),
        status_url=addresses.status(answer.id),
        page_url=addresses.page(name),
        log_url=addresses.log(answer.id),
        build_url=board.running.get(name) or (last.build_url if last else None) or None,
        manifest=addresses.file(entry.manifest) if entry else None,
        files=_files(entry, addresses) if entry else (),
        others=answer.others,
        finished=last.finished if last else None,
        toolchain=(planned.toolchain or None) if planned else None,
        exact=planned.is_exact if planned and planned.toolchain else None,
    )


def refused(answer: Answer, message: str, hint: str, addresses: Addresses) -> ErrorTold:
    """That something is not built, and why."""
    return ErrorTold(
        message=message,
        hint=hint,
        status=answer.state,  # type: ignore[arg-type] # as above
        reason=answer.reason,
        id=answer.id,
        log_url=addresses.log(answer.id),
        others=answer.others,
    )


def _files(entry: IndexEntry, addresses: Addresses) -> tuple[FileTold, ...]:
    return tuple(
        FileTold(
            name=file.name,
            url=addresses.file(file.key),
            sha256=file.sha256,
            size=file.size,
            module=file.module,
            vermagic=file.vermagic,
            depends=file.depends,
        )
        for file in entry.files
    )


def _eta(answer: Answer, board: Board, slots: int) -> int | None:
    """Seconds: as long as a build of this module usually takes, for itself and for those before it."""
    usual = board.usual_seconds.get(answer.build_id.module)
    if not answer.is_coming or usual is None or not (answer.place or answer.state == RUNNING):
        return None
    return max(1, round(usual * (1 + max(0, answer.place - 1) / max(1, slots))))
