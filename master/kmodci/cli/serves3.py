"""`kmodci serve-s3`: the embedded S3 server, in the foreground."""

import os
import re
from pathlib import Path
from typing import NoReturn

import click

from ..awsfile import read_credentials
from ..embedded import serving
from ..release import BadName


@click.command()
@click.option("--listen", "at", default="127.0.0.1:9000", show_default=True, metavar="HOST:PORT", help="Where.")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR", help="Of the buckets."
)
@click.option("--bucket", default="kmodci", show_default=True, metavar="NAME", help="Made, if it is not there.")
@click.option(
    "--credentials",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="As AWS tools write them; a file that only its owner may read.",
)
def serves3(at: str, folder: Path, bucket: str, credentials: Path) -> NoReturn:
    """Serve a folder as S3, in the foreground: for a farm that has no other S3 server.

    It is the server that `kmodci up` has beside it (rclone), for a container or a service of its own. SIGTERM ends it.

    \b
    kmodci serve-s3 --folder /var/lib/kmodci-bucket --credentials /etc/kmodci/s3-credentials
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise BadName(f"not a bucket's name: {bucket[:80]!r}")
    keys = read_credentials(credentials)
    (folder / bucket).mkdir(parents=True, exist_ok=True)
    command, environment = serving(folder, at, keys)
    os.execve(command[0], command, environment)  # noqa: S606 no shell
