"""`kmodci kernels`: what the repositories publish."""

from pathlib import Path

import click

from ..kernellist import kernel_list
from ..listing import in_scope
from ..matrix import newest_first
from ..model import Kernel
from ..repos.base import MACHINES
from ..selectors import check_selector, matches
from .options import config_option, json_option, look_option, scope_option
from .output import note, print_json, print_table
from .view import end, open_view


@click.command()
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...")
@config_option
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
    config: Path,
    scope: str,
    fresh: bool,
    as_json: bool,
    form: str | None,
    arch: str | None,
) -> None:
    """List the kernels that the repositories publish, newest first.

    SELECTOR is a pattern of target/release. Where no farm has run yet, the repositories are looked at now.

    \b
    kmodci kernels
    kmodci kernels 'debian-trixie-amd64/*' --look
    kmodci kernels '*/6.1.*' --json
    kmodci kernels --format kernel-crawler --arch arm64 >aarch64/list.json
    """
    if form and (as_json or not arch):
        raise click.UsageError("--format kernel-crawler is JSON of one architecture: say --arch, and no --json")
    wanted = [check_selector(selector, parts=2) for selector in selectors] or ["*"]
    view = open_view(config, scope, fresh=fresh)
    found = in_scope(view.store.kernels().values(), view.scope)
    chosen = newest_first(
        kernel for kernel in found if matches(str(kernel), wanted) and arch in (None, kernel.target.arch)
    )
    if form and arch:
        click.echo(kernel_list(chosen, arch), nl=False)
    elif as_json:
        print_json({"kernels": [_plain(kernel) for kernel in chosen], "faults": dict(view.faults)})
    else:
        columns = ("target", "release", "version", "flavour", "toolchain", "repository")
        print_table(columns, ([getattr(kernel, column) for column in columns] for kernel in chosen))
        note(f"{len(chosen)} kernels")
    end(view)


def _plain(kernel: Kernel) -> dict[str, object]:
    return {
        "target": str(kernel.target),
        "release": kernel.release,
        "version": kernel.version,
        "flavour": kernel.flavour,
        "toolchain": kernel.toolchain,
        "repository": kernel.repository,
        "headers": [{"name": p.name, "version": p.version, "url": p.url, "sha256": p.sha256} for p in kernel.headers],
    }
