"""`kmodci images`: the toolchain images."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from ..engines import engines_of
from ..errors import EngineError
from ..images import Recipe
from ..model import BUILD_ARCH
from ..opening import open_farm
from ..where import images_of, open_bucket
from .options import config_option, json_option, look_option, scope_option
from .output import note, print_json, print_table
from .view import View, end, open_view


@click.command()
@config_option
@scope_option
@look_option
@click.option("--make", is_flag=True, help="Make those that kernels need, and have them in the bucket.")
@json_option
def images(config: Path, scope: str, fresh: bool, make: bool, as_json: bool) -> None:
    """List the toolchain images: tag, where the bucket keeps them, how many kernels need them.

    A farm makes an image when a build needs it. Where it runs as a user who cannot, --make does that before it is
    started, and again when the images have changed with a new version; beside a farm that runs, too.

    \b
    kmodci images
    kmodci images --look --make
    """
    view = open_view(config, scope, fresh=fresh)
    kernels = {str(each.kernel): each for each in view.entries()}
    needed = Counter(each.toolchain or each.kernel.toolchain for each in kernels.values())
    native = Counter((each.toolchain, each.kernel.target.arch) for each in kernels.values())
    known = images_of(view.settings, view.recipes).values()
    counts = {
        made: needed[made.toolchain] if made.arch == BUILD_ARCH else native[made.toolchain, made.arch] for made in known
    }
    if make:
        _make(config, scope, [made for made, count in counts.items() if count])
    tags = _on_engine(view)
    rows = [
        {
            "toolchain": made.toolchain,
            "arch": made.arch,
            "series": f"{made.distro} {made.series}",
            "kernels": counts[made],
            "engine": "unknown" if tags is None else "there" if made.tag in tags else "not made",
            "tag": made.tag,
            "key": made.key,
        }
        for made in known
    ]
    lacking = {toolchain: count for toolchain, count in needed.items() if toolchain not in view.recipes}
    if as_json:
        print_json({"images": rows, "lacking": lacking})
        end(view)
    columns = ("toolchain", "arch", "series", "kernels", "engine", "tag", "key")
    print_table(columns, ([row[column] for column in columns] for row in rows), right=("kernels",))
    for toolchain, count in sorted(lacking.items()):
        note(f"{count} kernels need {toolchain}, which is not in targets.yml")
    end(view)


def _make(config: Path, scope: str, images: Sequence[Recipe]) -> None:
    """Has them on a host and in the bucket, and the workers that run in them. Raises EngineError, StoreError."""
    farm = open_farm(config, scope=scope)
    with open_bucket(farm.settings) as bucket:
        for made in images:
            farm.bundles.made(made.arch)
            farm.supply.images.make(made.toolchain, note, arch=made.arch)
            if bucket.size(made.key) is None:
                note(f"{made.short} is on a host already, and not in the bucket: it stays where it is")


def _on_engine(view: View) -> frozenset[str] | None:
    hosts = {name: host.host(name) for name, host in view.settings.build_hosts.items()}
    try:
        return engines_of(hosts, farm="").tags()
    except EngineError as error:
        note(str(error))
        return None
