"""`kmodci hosts`: the build hosts, each asked how it is."""

import sys
import time
from pathlib import Path

import click

from ..engines import engines_of
from ..hostview import plain, views
from ..settings import load
from ..where import images_of, recipes_of
from .options import config_option, json_option
from .output import print_json, print_table

_COLUMNS = ("host", "state", "workers", "images", "builds for", "labels", "engine", "address")


@click.command()
@config_option
@json_option
def hosts(config: Path, as_json: bool) -> None:
    """List the build hosts, and ask each how it is. Exit status 1 if one does not answer as it should.

    \b
    kmodci hosts
    """
    settings = load(config)
    engines = engines_of({name: host.host(name) for name, host in settings.build_hosts.items()}, farm="")
    engines.look_at_all()
    seen = views(
        engines.hosts,
        {name: engines.state(name) for name in engines},
        workers={},
        running={},
        images=frozenset(made.tag for made in images_of(settings, recipes_of(settings)).values()),
    )
    rows = [{**plain(each, time.time()), "workers": settings.build_hosts[each.host.name].workers} for each in seen]
    for row in rows:
        # only its master knows
        del row["running"]
    if as_json:
        print_json({"hosts": rows})
    else:
        named = (
            {**row, "state": row["standing"], "engine": f"{row['kind']} {row['engine']}".strip(), **_words(row)}
            for row in rows
        )
        print_table(_COLUMNS, ([row[column] for column in _COLUMNS] for row in named), right=("images",))
        for each in seen:
            if each.state.fault:
                click.echo(f"{each.host.name}: {each.fault}")
    sys.exit(any(each.state.is_away for each in seen))


def _words(row: dict[str, object]) -> dict[str, str]:
    lists = {name: row[name] for name in ("arches", "cross", "labels")}
    arches, cross, labels = (", ".join(each) if isinstance(each, list) else "" for each in lists.values())
    # a cluster's nodes keep images as they see fit
    images = {"images": ""} if row["kind"] == "Kubernetes" else {}
    return {"builds for": f"{arches}, {cross} (cross)" if cross else arches, "labels": labels, **images}
