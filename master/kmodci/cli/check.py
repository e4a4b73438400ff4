"""`kmodci check`: is the configuration right?"""

import sys
from pathlib import Path

import click

from ..errors import SettingsError
from ..settings import Settings, load
from .options import config_option, json_option
from .output import print_facts, print_json


@click.command()
@config_option
@json_option
def check(config: Path, as_json: bool) -> None:
    """Check the configuration; tell every mistake with file and line.

    \b
    kmodci check
    kmodci check --config /etc/kmodci
    """
    try:
        settings = load(config)
    except SettingsError as error:
        if not as_json:
            raise
        print_json({"ok": False, "problems": error.problems})
        sys.exit(error.exit_code)
    if as_json:
        print_json({"ok": True, "problems": [], **_facts(settings)})
    else:
        click.echo(f"{config}: good")
        print_facts({name: ", ".join(found) for name, found in _facts(settings).items()}, width=14)


def _facts(settings: Settings) -> dict[str, list[str]]:
    entries = [entry for entry in settings.targets if entry.enabled]
    return {
        "modules": list(settings.modules),
        "targets": [str(target) for entry in entries for target in entry.targets],
        "repositories": [
            name for entry in entries for each in entry.repositories for name in each.named(entry.targets)
        ],
        "not enabled": [f"{entry.distro} {entry.series}" for entry in settings.targets if not entry.enabled],
        "toolchains": [name for name, toolchain in settings.toolchains.items() if toolchain.enabled],
        "scopes": list(settings.scopes),
        "receivers": list(settings.notify),
        "known failures": [failure.builds for failure in settings.known_failures],
    }
