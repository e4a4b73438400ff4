"""`kmodci backup`: what the farm has that is nobody else's, in one file."""

import os
import sys
import tempfile
from pathlib import Path

import click

from ..backup import Backup
from ..quantities import size_text
from ..settings import load
from ..where import open_bucket
from .options import config_option
from .output import note


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@config_option
def backup(file: Path, config: Path) -> None:
    """Write databases, users, tokens and what was accepted to FILE (`-` is stdout). The farm may run meanwhile.

    The bucket is not in it: that has to be copied by what is made for it. FILE has hashes of passwords in it, and is
    made for its owner alone. `kmodci restore` brings it back.

    \b
    kmodci backup /srv/backup/farm.tar.zst
    docker compose exec -T master kmodci backup - >farm.tar.zst
    """
    settings = load(config)
    with open_bucket(settings) as bucket:
        if str(file) == "-":
            if sys.stdout.isatty():
                raise click.UsageError("a backup is nothing to look at: send it to a file")
            head = Backup(settings).write(sys.stdout.buffer, bucket)
        else:
            # of its owner alone from the first (tempfile makes it 0600), and whole or not there
            descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
            try:
                with os.fdopen(descriptor, "wb") as part:
                    head = Backup(settings).write(part, bucket)
                    part.flush()
                    os.fsync(part.fileno())
                Path(name).replace(file)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
    stood = head.bucket
    if stood is None:
        note("the bucket does not answer: how it stands is not in the backup")
    else:
        note(f"the bucket, which is not in it, has {stood.objects} objects, {size_text(stood.size)}: copy it as well")
