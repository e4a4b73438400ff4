"""`kmodci images`: the toolchain images."""

from collections import Counter
from pathlib import Path

import click

from ..engines import engines_of
from ..errors import EngineError
from ..model import BUILD_ARCH
from ..where import images_of
from .options import config_option, json_option, look_option, scope_option
from .output import note, print_json, print_table
from .view import View, end, open_view


@click.command()
@config_option
@scope_option
@look_option
@json_option
def images(config: Path, scope: str, fresh: bool, as_json: bool) -> None:
    """List the toolchain images: tag, where the bucket keeps them, how many kernels need them.

    \b
    kmodci images
    """
    view = open_view(config, scope, fresh=fresh)
    tags = _on_engine(view)
    kernels = {str(each.kernel): each for each in view.entries()}
    needed = Counter(each.toolchain or each.kernel.toolchain for each in kernels.values())
    native = Counter((each.toolchain, each.kernel.target.arch) for each in kernels.values())
    rows = [
        {
            "toolchain": made.toolchain,
            "arch": made.arch,
            "series": f"{made.distro} {made.series}",
            "kernels": needed[made.toolchain] if made.arch == BUILD_ARCH else native[made.toolchain, made.arch],
            "engine": "unknown" if tags is None else "there" if made.tag in tags else "not made",
            "tag": made.tag,
            "key": made.key,
        }
        for made in images_of(view.settings, view.recipes).values()
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


def _on_engine(view: View) -> frozenset[str] | None:
    hosts = {name: host.host(name) for name, host in view.settings.build_hosts.items()}
    try:
        return engines_of(hosts, farm="").tags()
    except EngineError as error:
        note(str(error))
        return None
