"""`kmodci coverage`: how much of the matrix is built."""

from collections.abc import Sequence

import click

from ..coverage import Cause, Coverage, Tally, causes
from ..coverage import coverage as count
from ..model import Status
from ..selectors import check_selector, matches
from .answers import Answers, end
from .completing import complete_builds
from .options import answers_option, json_option
from .output import note, print_json, print_table

_MOST = 10
_STATUSES = (Status.BUILT, Status.FAILED, Status.UNAVAILABLE, Status.SKIPPED, Status.PENDING)


@click.command()
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...", shell_complete=complete_builds)
@click.option("--causes", "every_cause", is_flag=True, help="Every cause with every build, not only the most frequent.")
@answers_option()
@json_option
def coverage(selectors: tuple[str, ...], every_cause: bool, answers: Answers, as_json: bool) -> None:
    """Count what is built, failed, unavailable, skipped and pending, and say why.

    SELECTOR is a pattern of build ids. The percentage is of what should be built: skipped builds do not count.

    \b
    kmodci coverage
    kmodci coverage 'v4l2loopback/debian-bookworm-*' --causes
    kmodci coverage --server https://farm.example.com/ --json
    """
    wanted = [check_selector(selector, parts=3) for selector in selectors] or ["*"]
    builds = [each for each in answers.builds() if matches(each.name, wanted)]
    found, why = count(builds), causes(builds)
    if as_json:
        rows = [
            {"module": row.module, "target": row.target, "flavour": row.flavour, **_plain(row.tally), "gone": row.gone}
            for row in found.rows
        ]
        reasons = [
            {"status": each.status, "cause": each.cause, "kernels": each.kernels, "builds": each.builds} for each in why
        ]
        whole = {**_plain(found.tally), "gone": found.gone}
        print_json({"rows": rows, "all": whole, "causes": reasons, "faults": dict(answers.faults)})
        end(answers)
    if builds:
        print_coverage(found)
        print_causes(why, whole=every_cause)
    elif selectors:
        note("no build fits that: `kmodci coverage` without SELECTOR counts all, `kmodci kernels` lists the kernels")
    else:
        note(
            "the matrix is empty: `kmodci kernels --sources` tells whether a source was read, `kmodci check` the scopes"
        )
    end(answers)


def print_coverage(found: Coverage) -> None:
    """A line for each row, and for all."""
    names = ("module", "target", "flavour") if any(row.flavour for row in found.rows) else ("module", "target")
    cells = [[*(getattr(row, name) for name in names), *_cells(row.tally), row.gone or ""] for row in found.rows]
    whole = ["all", *("" for _ in names[1:]), *_cells(found.tally), found.gone]
    # builds of kernels that are gone are counted with the others as well
    width = None if found.gone else -1
    columns = (*_STATUSES, "%", "of gone kernels")[:width]
    print_table((*names, *columns), [row[:width] for row in [*cells, whole]], right=columns)


def print_causes(why: Sequence[Cause], *, whole: bool = False) -> None:
    """The most frequent causes, each with one build; or, whole, every one with every build."""
    for each in why if whole else why[:_MOST]:
        click.echo(_told(each, whole=whole))
    if len(why) > _MOST and not whole:
        note(f"and {len(why) - _MOST} more causes: `kmodci coverage --causes`")


def _told(cause: Cause, *, whole: bool) -> str:
    line = f"{len(cause.builds)} {cause.status}: {cause.cause}"
    if whole:
        return "\n    ".join([line, *cause.builds])
    kernels = f"{cause.kernels} kernels, " if cause.kernels > 1 else ""
    return f"{line} ({kernels}as {cause.builds[0]})"


def _plain(tally: Tally) -> dict[str, object]:
    return {**{str(status): tally[status] for status in _STATUSES}, "percent": tally.percent}


def _cells(tally: Tally) -> list[object]:
    return [*(tally[status] or "" for status in _STATUSES), tally.percent]
