"""How a build stands, in the words of the HTTP API."""

from .addresses import Addresses
from .apianswers import BuildTold, ErrorTold, FileTold
from .board import Board
from .manifest import IndexEntry
from .ondemand import Answer


def build_told(answer: Answer, board: Board, addresses: Addresses, *, slots: int) -> BuildTold:
    """The answer to a question, as it is sent. slots: builds at once."""
    build, name = answer.build_id, str(answer.build_id)
    standing, entry = board.standings.get(name), answer.entry
    last = standing.outcome if standing and answer.planned else None
    planned = answer.planned
    left = board.seconds_left(name, answer.place, slots=slots) if answer.is_coming else None
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
        eta_seconds=round(left) if left is not None else None,
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
