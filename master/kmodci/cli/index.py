"""`kmodci index`: the index in the bucket."""

from pathlib import Path

import click

from ..memory import recall
from ..paths import Paths
from ..recovery import Recovered, recover
from ..settings import load
from ..store import Store
from ..where import open_bucket
from .options import config_option, json_option
from .output import note, print_json
from .processes import MasterProcess


@click.group()
def index() -> None:
    """The index in the bucket, by which nodes find their modules."""


@index.command()
@config_option
@json_option
def rebuild(config: Path, as_json: bool) -> None:
    """Make the index and the store's outcomes again, from the manifests in the bucket.

    After the database was lost, what is published is not built again, and what had failed is not tried again; a farm
    does the same when it starts. What the store takes for built, but the bucket has no more, is forgotten, and so built
    again. No farm may run meanwhile.

    \b
    kmodci index rebuild
    """
    settings = load(config)
    paths = Paths(settings.state)
    store = Store(settings.database_url)
    with (
        MasterProcess(paths, config, "", ()).kept_out(),
        open_bucket(settings) as bucket,
    ):
        store.create()
        rows = recall(store, bucket)
        done = recover(bucket, store)
    if as_json:
        print_json(
            {
                "recalled": rows,
                "published": done.published,
                "index_removed": done.index_removed,
                "learned": done.learned,
                "forgotten": done.forgotten,
                "bundles": done.bundles,
            }
        )
    else:
        _tell(done, rows)


def _tell(done: Recovered, rows: int) -> None:
    click.echo(f"builds in the bucket, and in its index: {done.published}")
    for what, count in (
        ("rows that an earlier database had, and this one has again", rows),
        ("index objects removed, since they named nothing any more", len(done.index_removed)),
        ("builds that the store knows again", len(done.learned)),
        ("header bundles that the store knows again", done.bundles),
        ("builds forgotten, since the bucket has them no more", len(done.forgotten)),
    ):
        if count:
            click.echo(f"{what}: {count}")
    for name in (*done.index_removed, *done.forgotten):
        note(f"  {name}")
