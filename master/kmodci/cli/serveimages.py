"""`kmodci serve-images`: makes toolchain images for a master that may not."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from ..engineproxy import listen
from ..imagemaker import serve


@click.command()
@click.option("--listen", "url", required=True, metavar="URL", help="The socket that the master asks at (unix://...).")
@click.option("--group", type=click.IntRange(0), metavar="GID", help="Its group, which may use it as well.")
def serveimages(url: str, group: int | None) -> None:
    """Make toolchain images for a farm's master, which asks at a unix socket.

    mmdebstrap needs root, or at least chroot and files of other users. This may have that in a container of its own,
    and the master none of it (`images:` in kmodci.yml). It makes what a recipe of kmodci's names, one after the other,
    and nothing else. It reads no configuration.

    \b
    kmodci serve-images --listen unix:///run/kmodci-images/images.sock --group 10001
    """
    at = urlsplit(url)
    if at.scheme != "unix" or at.netloc or not at.path.startswith("/"):
        raise click.BadParameter(f"{url}: only unix sockets, as in unix:///run/images.sock", param_hint="--listen")
    listening = listen(Path(at.path), mode=0o600 if group is None else 0o660, group=group)
    _say(f"listening at {at.path}")
    serve(listening, _say)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
