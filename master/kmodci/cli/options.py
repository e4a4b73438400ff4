"""Options that several commands share."""

from pathlib import Path

import click

from ..paths import checkout

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: checkout() / "config",
    envvar="KMODCI_CONFIG",
    help="The folder with the four YAML files.",
)
