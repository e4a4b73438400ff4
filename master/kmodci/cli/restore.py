"""`kmodci restore`: a farm as a backup has it."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from ..backup import Backup
from ..paths import Paths
from ..settings import load
from .options import config_option
from .output import note
from .processes import MasterProcess


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True))
@click.option("--replace", is_flag=True, help="Lose what this farm has now.")
@config_option
def restore(file: Path, replace: bool, config: Path) -> None:
    """Bring back what `kmodci backup` wrote to FILE (`-` is stdin), into a farm that has nothing yet.

    No master may run. The bucket should be as it was then, or newer: what the database takes for built and the bucket
    does not have is built again after the next start. What the bucket has in addition, `kmodci index rebuild` learns.

    \b
    kmodci restore /srv/backup/farm.tar.zst
    docker compose run --rm -T master kmodci restore - <farm.tar.zst
    """
    settings = load(config)
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with MasterProcess(Paths(settings.state), config, "", ()).kept_out():
        if str(file) == "-":
            head = Backup(settings).restore(sys.stdin.buffer, replace=replace)
        else:
            with file.open("rb") as content:
                head = Backup(settings).restore(content, replace=replace)
    note(f"restored, as it was on {datetime.fromtimestamp(head.made, UTC):%Y-%m-%d %H:%M} UTC")
    if head.bucket is not None:
        note(f"the bucket had {head.bucket.objects} objects then")
