"""`kmodci kernels`: what the repositories publish, and how the last looks at them went."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from ..kernellist import kernel_list
from ..listing import in_scope, mirrors_read
from ..matrix import newest_first
from ..model import Kernel
from ..repos.base import MACHINES
from ..selectors import check_selector, matches
from .options import config_option, json_option, look_option, scope_option
from .output import note, print_json, print_table
from .sources import print_sources
from .view import end, open_view


@click.command()
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...")
@config_option
@click.option("--sources", is_flag=True, help="The repositories and module sources instead: how the last looks went.")
@click.option("--problems", is_flag=True, help="With --sources: all that the last good looks could not take, and why.")
@scope_option
@look_option
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
    config: Path,
    scope: str,
    fresh: bool,
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
    kmodci kernels --format kernel-crawler --arch arm64 >aarch64/list.json
    """
    if form and (as_json or sources or problems or not arch):
        raise click.UsageError("--format kernel-crawler is JSON of one architecture: say --arch, and nothing else")
    if selectors and (sources or problems):
        raise click.UsageError("--sources lists repositories: say it without SELECTOR")
    if sources or problems:
        view = open_view(config, scope, fresh=fresh)
        print_sources(view.sources(), with_problems=problems, as_json=as_json)
        sys.exit(1 if view.looked and view.faults else 0)
    wanted = [check_selector(selector, parts=2) for selector in selectors] or ["*"]
    view = open_view(config, scope, fresh=fresh)
    found = in_scope(view.store.kernels().values(), view.scope)
    chosen = newest_first(
        kernel for kernel in found if matches(str(kernel), wanted) and arch in (None, kernel.target.arch)
    )
    if form and arch:
        click.echo(kernel_list(chosen, arch, mirrors_read(view.store)), nl=False)
    elif as_json:
        print_json({"kernels": [_plain(kernel) for kernel in chosen], "faults": dict(view.faults)})
    else:
        gone = sum(kernel.gone > 0 for kernel in chosen)
        columns = ["target", "release", "version", "flavour", "toolchain", "repository"]
        rows = [[getattr(kernel, column) for column in columns] for kernel in chosen]
        if gone:
            columns.append("gone since")
            rows = [[*row, _since(kernel)] for row, kernel in zip(rows, chosen, strict=True)]
        print_table(columns, rows)
        note(f"{len(chosen)} kernels{f', {gone} of them gone' if gone else ''}")
    end(view)


def _since(kernel: Kernel) -> str:
    return f"{datetime.fromtimestamp(kernel.gone, UTC):%Y-%m-%d}" if kernel.gone else ""


def _plain(kernel: Kernel) -> dict[str, object]:
    return {
        "target": str(kernel.target),
        "release": kernel.release,
        "version": kernel.version,
        "flavour": kernel.flavour,
        "toolchain": kernel.toolchain,
        "repository": kernel.repository,
        "gone": kernel.gone or None,
        "headers": [{"name": p.name, "version": p.version, "url": p.url, "sha256": p.sha256} for p in kernel.headers],
    }
