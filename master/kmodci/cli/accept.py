"""`kmodci accept`: a person takes a repository at its word."""

import getpass
import time
from pathlib import Path

import click

from ..acceptance import Acceptances
from ..errors import KmodciError, NotFound
from ..paths import Paths
from ..settings import load
from ..where import followed
from ..yamlfile import suggestion
from .options import config_option, json_option
from .output import print_json
from .remembered import farm_store


@click.command()
@click.argument("source")
@config_option
@json_option
def accept(source: str, config: Path, as_json: bool) -> None:
    """Take SOURCE, a repository, at its word: it says what the farm does not believe by itself.

    That is a repository that lists no kernel any more, or one that is older than it was. Nothing is lost by it: kernels
    that are not listed stay as gone, and their modules stay published. `kmodci kernels --sources` tells what is in
    doubt. A farm that runs takes it at its next look, a farm that does not when it starts.

    \b
    kmodci accept 'bookworm main'
    """
    settings = load(config)
    names = followed(settings)
    if source not in names:
        raise NotFound(
            f"no repository {source[:80]!r}{suggestion(source, names)}", hint="`kmodci kernels --sources` lists them"
        )
    store = farm_store(settings)
    doubt = store.repository_state(source).doubt if store else None
    if doubt is None:
        raise KmodciError(f"nothing of {source} is in doubt", hint="`kmodci kernels --sources` tells what is")
    by = getpass.getuser()
    Acceptances(Paths(settings.state).accepted).put(source, doubt, by=by, at=time.time())
    if as_json:
        print_json({"source": source, "accepted": doubt.what, "by": by})
    else:
        click.echo(f"{source}: {doubt.what}: accepted; the farm's next look takes it so")
