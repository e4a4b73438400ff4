"""`kmodci token`: who may ask a farm for builds over HTTP."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from ..settings import load
from ..tokens import May, Tokens
from .options import config_option, json_option
from .output import note, print_json, print_table


@click.group()
def token() -> None:
    """Make, list and remove the tokens of the HTTP API: who has one may have builds made.

    A farm that runs takes what is changed at once.
    """


@token.command()
@click.argument("name")
@click.option(
    "--may",
    type=click.Choice([str(may) for may in May]),
    default=str(May.BUILD),
    show_default=True,
    help="What it is good for: who may build may read.",
)
@config_option
@json_option
def add(name: str, may: str, config: Path, as_json: bool) -> None:
    """Make a token called NAME, and print it: this once, for the farm keeps no more than its hash.

    A file with a token is to be read by nobody else: --token-file refuses another.

    \b
    (umask 077; kmodci token add cluster-1 > token)
    """
    tokens = _tokens(config)
    secret = tokens.add(name, May(may), time.time())
    if as_json:
        print_json({"name": name, "may": may, "token": secret})
    else:
        click.echo(secret)
        note(f"token {name} may {may}; its hash is in {tokens.path}. Send it as: Authorization: Bearer <token>")


@token.command(name="list")
@config_option
@json_option
def list_(config: Path, as_json: bool) -> None:
    """List the tokens: what each is called, what it is good for, and when it was made."""
    found = _tokens(config).all()
    if as_json:
        print_json([{"name": each.name, "may": each.may, "created": each.created} for each in found])
    elif found:
        days = (f"{datetime.fromtimestamp(each.created, UTC):%Y-%m-%d}" for each in found)
        print_table(("name", "may", "made"), [(e.name, e.may, day) for e, day in zip(found, days, strict=True)])
    else:
        note("there is no token: `kmodci token add NAME` makes one")


@token.command()
@click.argument("name")
@config_option
@json_option
def remove(name: str, config: Path, as_json: bool) -> None:
    """Remove the token called NAME: who has it may do nothing more with it."""
    _tokens(config).remove(name)
    if as_json:
        print_json({"removed": name})
    else:
        click.echo(f"token {name} is removed")


def _tokens(config: Path) -> Tokens:
    return Tokens(load(config).tokens_file)
