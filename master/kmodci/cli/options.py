"""Options that several commands share."""

from pathlib import Path

import click

from ..paths import checkout

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: checkout() / "config",
    envvar="KMODCI_CONFIG",
    metavar="DIR",
    help="The folder with the four YAML files.",
)
scope_option = click.option("--scope", default="", metavar="NAME", help="A scope of kmodci.yml, not the farm's own.")
look_option = click.option(
    "--look", "fresh", is_flag=True, help="Look at the repositories now, instead of what the farm last saw."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
