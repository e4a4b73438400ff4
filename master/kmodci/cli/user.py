"""`kmodci user`: who may log in with a password, and what each may do."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click

from ..errors import KmodciError
from ..loginfile import Role
from ..passwords import LONGEST
from ..paths import Paths
from ..settings import Settings, load
from ..users import FIRST, Users
from .options import config_option, json_option
from .output import note, print_json, print_table

_role_type = click.Choice([str(role) for role in Role])
_password_option = click.option(
    "--password-file",
    type=click.File("rb"),
    metavar="FILE",
    help="Holds the password in its first line; - is standard input. Without it, the terminal asks.",
)


@click.group()
def user() -> None:
    """Add, list and remove who may log in with a password, and say what each may do.

    `read` may look, where that takes a login; `build` may have builds made, and cancel those; `operate` may do all.
    A farm that runs takes what is changed at once.
    """


@user.command()
@click.argument("name")
@click.option("--role", type=_role_type, default=str(Role.BUILD), show_default=True, help="What NAME may do.")
@_password_option
@config_option
@json_option
def add(name: str, role: str, password_file: IO[bytes] | None, config: Path, as_json: bool) -> None:
    """Add a user called NAME.

    \b
    kmodci user add alice --role operate
    kmodci user add alice --password-file - < password
    """
    users = _users(load(config))
    users.add(name, Role(role), _password(password_file))
    _say(as_json, {"name": name, "role": role}, f"{name} may {role} from now on; the hash is in {users.path}")


@user.command(name="list")
@config_option
@json_option
def list_(config: Path, as_json: bool) -> None:
    """List the users: what each may do, and since when the password is what it is."""
    found = _users(load(config)).all()
    if as_json:
        print_json([{"name": each.name, "role": each.role, "changed": each.changed} for each in found])
    elif found:
        days = (f"{datetime.fromtimestamp(each.changed, UTC):%Y-%m-%d}" for each in found)
        rows = [(e.name, e.role, day) for e, day in zip(found, days, strict=True)]
        print_table(("name", "role", "password of"), rows)
    else:
        note("there is no user: `kmodci user add NAME` adds one")


@user.command()
@click.argument("name")
@config_option
@json_option
def remove(name: str, config: Path, as_json: bool) -> None:
    """Remove the user called NAME: what that one has open may do nothing more."""
    settings = load(config)
    _users(settings).remove(name)
    _drop_first(settings, name)
    _say(as_json, {"removed": name}, f"{name} is removed")


@user.command()
@click.argument("name")
@_password_option
@config_option
@json_option
def password(name: str, password_file: IO[bytes] | None, config: Path, as_json: bool) -> None:
    """Give NAME another password, and end that one's sessions."""
    settings = load(config)
    users = _users(settings)
    users.get(name)  # before anything is typed
    users.set_password(name, _password(password_file))
    _drop_first(settings, name)
    _say(as_json, {"name": name}, f"{name} has another password, and has to log in again")


@user.command()
@click.argument("name")
@click.argument("role", type=_role_type)
@config_option
@json_option
def role(name: str, role: str, config: Path, as_json: bool) -> None:
    """Say that NAME may do what ROLE may."""
    _users(load(config)).set_role(name, Role(role))
    _say(as_json, {"name": name, "role": role}, f"{name} may {role} from now on")


def _users(settings: Settings) -> Users:
    """Raises KmodciError where nobody logs in with a password."""
    if settings.login.way != "password":
        raise KmodciError(
            f"people log in by {settings.login.way} here", hint="kmodci.yml says who may what: login: roles:"
        )
    return Users(settings.users_file)


def _password(file: IO[bytes] | None) -> str:
    """Never an argument, which others can see."""
    if file is None:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask for a password: say --password-file")
        typed: str = click.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    try:
        lines = file.read(2 * LONGEST).decode().splitlines()
    except UnicodeDecodeError:
        raise click.UsageError("the file with the password is no UTF-8 text") from None
    return lines[0] if lines else ""


def _drop_first(settings: Settings, name: str) -> None:
    """What the farm wrote down of its first user holds no more."""
    if name == FIRST:
        Paths(settings.state).first_password.unlink(missing_ok=True)


def _say(as_json: bool, facts: dict[str, str], text: str) -> None:
    if as_json:
        print_json(facts)
    else:
        click.echo(text)
