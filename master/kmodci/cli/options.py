"""The options that most commands have."""

from pathlib import Path

import click

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("config"),
    show_default=True,
    envvar="KMODCI_CONFIG",
    metavar="DIR",
    help="The folder of the configuration.",
)
scope_option = click.option(
    "--scope", default="", metavar="NAME", help="A scope of kmodci.yml [default: its `scope:`]."
)
look_option = click.option(
    "--look", "fresh", is_flag=True, help="Look at the repositories now, instead of what the farm last saw."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
