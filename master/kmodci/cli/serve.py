"""`kmodci serve`: the master of a farm, in the foreground, for what starts it again: a container, systemd."""

import time
from pathlib import Path
from typing import NoReturn

import click

from ..errors import StoreError
from ..paths import Paths
from ..settings import Settings, load
from ..store import Store
from ..users import FIRST, Users, first_user
from ..where import embedded
from .options import config_option, scope_option
from .processes import MasterProcess

_LOOK_EVERY = 1.0


@click.command()
@config_option
@scope_option
@click.option("--wait", type=click.IntRange(0), default=60, show_default=True, help="Seconds to wait for the database.")
def serve(config: Path, scope: str, wait: int) -> NoReturn:
    """Run the master of a farm in the foreground, with its log on stdout.

    Makes or migrates the tables of the database, and the first user of a farm that has none. Without `bucket:` in
    kmodci.yml it starts the embedded S3 server as well. SIGTERM ends it: builds that run are built again at the next
    start. SIGUSR1 lets them end first. SIGHUP has it read its configuration again.

    \b
    kmodci serve --config /etc/kmodci
    """
    settings = load(config)
    settings.find_scope(scope)
    paths = Paths(settings.state)
    paths.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    master = MasterProcess(paths, config, scope, ())
    # before anything is changed that a master which runs already has
    with master.kept_out():
        _await_database(settings, wait)
        if settings.login.way == "password" and first_user(Users(settings.users_file), paths.first_password):
            click.echo(f"made a first user, {FIRST}: the password is in {paths.first_password}")
        if settings.bucket is None:
            embedded(settings).start()
    click.echo(f"starting the master; it will answer at {settings.web.address}")
    master.become()


def _await_database(settings: Settings, wait: int) -> None:
    """Until it answers, with the farm's own tables in it. Raises StoreError."""
    store, deadline, told = Store(settings.database_url), time.monotonic() + wait, False
    try:
        while True:
            try:
                return store.create()
            except StoreError as error:
                if time.monotonic() > deadline:
                    raise
                if not told:
                    click.echo(f"waiting for the database: {error.brief.splitlines()[0]}")
                told = True
                time.sleep(_LOOK_EVERY)
    finally:
        store.close()
