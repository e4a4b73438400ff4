"""`kmodci gc`: what need not be kept any longer."""

import time
from contextlib import nullcontext
from pathlib import Path

import click

from ..cleanup import Cleanup, Waste
from ..opening import open_farm
from ..quantities import size_text
from ..where import open_bucket
from .options import config_option, json_option
from .output import note, print_json, print_table
from .processes import MasterProcess


@click.command()
@click.option("--remove", is_flag=True, help="Remove it, rather than tell what would be removed.")
@config_option
@json_option
def gc(remove: bool, config: Path, as_json: bool) -> None:
    """Tell what the bucket, the Docker engine and the disk need not keep any longer, and why; with --remove, remove it.

    `retention:` in kmodci.yml says what is kept. A farm does this by itself every night; while one runs, force its
    builder `gc` instead.

    \b
    kmodci gc
    kmodci gc --remove
    """
    farm = open_farm(config)
    kept: list[str] = []
    with (
        MasterProcess(farm.paths, config, "", ()).kept_out("force its builder `gc`, or ") if remove else nullcontext(),
        open_bucket(farm.settings),
    ):
        cleanup = Cleanup(farm)
        waste = cleanup.look(now=time.time())
        if not as_json:
            _print(waste)
        if remove:
            cleanup.remove(waste, kept.append)
    if as_json:
        print_json(
            {"removed": remove, "size": waste.size, "removals": _plain(waste), "stays": kept, "fault": waste.fault}
        )
        return
    for line in filter(None, (waste.fault, *kept)):
        note(line)
    if waste.all and not remove:
        note("nothing was removed: `kmodci gc --remove` does it")


def _print(waste: Waste) -> None:
    rows = [(each.what, len(each.objects), size_text(each.size), each.why) for each in waste.all]
    count = sum(len(each.objects) for each in waste.all)
    print_table(
        ("what", "count", "size", "why"), [*rows, ("all", count, size_text(waste.size), "")], right=("count", "size")
    )


def _plain(waste: Waste) -> list[dict[str, object]]:
    return [
        {
            "what": each.what,
            "why": each.why,
            "size": each.size,
            "objects": [{"key": found.key, "size": found.size, "modified": found.modified} for found in each.objects],
        }
        for each in waste.all
    ]
