"""`kmodci kernels`: what the repositories publish, and how the last looks at them went."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from ..kernellist import kernel_list
from ..listing import in_scope, mirrors_read
from ..matrix import newest_first
from ..repos.base import MACHINES
from ..selectors import check_selector, matches
from ..told import KernelTold
from .answers import Answers, end
from .completing import complete_kernels
from .local import Local
from .options import answers_option, json_option
from .output import note, print_json, print_table
from .sources import print_sources

_NOTHING_FITS = "`kmodci kernels` without SELECTOR and --arch lists all there are"
_NOTHING = "`kmodci kernels --sources` tells how the looks at the repositories went"


@click.command()
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...", shell_complete=complete_kernels)
@click.option("--sources", is_flag=True, help="The repositories and module sources instead: how the last looks went.")
@click.option("--problems", is_flag=True, help="With --sources: all that the last good looks could not take, and why.")
@answers_option()
@json_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["kernel-crawler"]),
    help="Print the list that kernel-crawler would make, for tools that read such lists. Needs --arch.",
)
@click.option("--arch", type=click.Choice([*MACHINES]), help="Only kernels of this architecture.")
def kernels(
    selectors: tuple[str, ...],
    sources: bool,
    problems: bool,
    answers: Answers,
    as_json: bool,
    form: str | None,
    arch: str | None,
) -> None:
    """List the kernels that the repositories publish, or have published, newest first.

    SELECTOR is a pattern of target/release. Where no farm has run yet, the repositories are looked at now.

    \b
    kmodci kernels
    kmodci kernels 'debian-trixie-amd64/*' --look
    kmodci kernels '*/6.1.*' --json
    kmodci kernels --sources
    kmodci kernels '*/6.1.*' --server https://farm.example.com/
    kmodci kernels --format kernel-crawler --arch arm64 >aarch64/list.json
    """
    if form and (as_json or sources or problems or not arch):
        raise click.UsageError("--format kernel-crawler is JSON of one architecture: say --arch, and nothing else")
    if selectors and (sources or problems):
        raise click.UsageError("--sources lists repositories: say it without SELECTOR")
    if sources or problems:
        print_sources(answers.sources(), with_problems=problems, as_json=as_json)
        sys.exit(1 if answers.looked and answers.faults else 0)
    wanted = [check_selector(selector, parts=2) for selector in selectors] or ["*"]
    if form and arch:
        click.echo(_crawled(answers, wanted, arch), nl=False)
        end(answers)
    chosen = [
        each
        for each in answers.kernels()
        if matches(f"{each.target}/{each.release}", wanted) and arch in (None, each.target.rpartition("-")[2])
    ]
    if as_json:
        print_json({"kernels": [each.plain() for each in chosen], "faults": dict(answers.faults)})
    else:
        _list(chosen)
        if not chosen and not answers.faults:
            note(_NOTHING_FITS if selectors or arch else _NOTHING)
    end(answers)


def _crawled(answers: Answers, wanted: Sequence[str], arch: str) -> bytes:
    if not isinstance(answers, Local):
        raise click.UsageError("--format kernel-crawler is of files: a farm puts that list into its bucket")
    view = answers.view()
    found = newest_first(in_scope(view.store.kernels().values(), view.scope))
    chosen = [each for each in found if matches(str(each), wanted) and each.target.arch == arch]
    return kernel_list(chosen, arch, mirrors_read(view.store))


def _list(chosen: Sequence[KernelTold]) -> None:
    gone = sum(kernel.gone is not None for kernel in chosen)
    columns = ["target", "release", "version", "flavour", "toolchain", "repository"]
    rows = [[getattr(kernel, column) for column in columns] for kernel in chosen]
    if gone:
        columns.append("gone since")
        rows = [[*row, _since(kernel)] for row, kernel in zip(rows, chosen, strict=True)]
    print_table(columns, rows)
    note(f"{len(chosen)} kernels{f', {gone} of them gone' if gone else ''}")


def _since(kernel: KernelTold) -> str:
    return f"{datetime.fromtimestamp(kernel.gone, UTC):%Y-%m-%d}" if kernel.gone else ""
