"""Options that several commands share, and who answers a command that has them: a farm's files, or a farm."""

import functools
from collections.abc import Callable
from pathlib import Path

import click
from click.core import ParameterSource

from ..paths import checkout
from ..quantities import seconds
from .completing import complete_scopes

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: checkout() / "config",
    envvar="KMODCI_CONFIG",
    metavar="DIR",
    help="The folder with the four YAML files.",
)
scope_option = click.option(
    "--scope",
    default="",
    metavar="NAME",
    help="A scope of kmodci.yml, not the farm's own.",
    shell_complete=complete_scopes,
)
look_option = click.option(
    "--look", "fresh", is_flag=True, help="Look at the repositories now, instead of what the farm last saw."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
server_option = click.option(
    "--server",
    default="",
    envvar="KMODCI_SERVER",
    metavar="URL",
    help="Ask the farm whose web UI is there, instead of reading files. [env: KMODCI_SERVER]",
)
token_option = click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="KMODCI_TOKEN_FILE",
    metavar="FILE",
    help="With --server: the token to ask with, in a file that only you may read. [env: KMODCI_TOKEN_FILE]",
)
insecure_option = click.option(
    "--insecure", is_flag=True, help="With --server: send the token over plain http, to another machine."
)


class Duration(click.ParamType[float]):
    """`90s`, `1h30m`; seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return float(str(seconds(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


_REMOTE = (server_option, token_option, insecure_option)

Command = Callable[..., None]


def answers_option(*, scope: bool = True) -> Callable[[Command], Command]:
    """The command gets `answers` (`answers.Answers`): of the files of --config, or of the farm at --server.

    scope: whether it has --scope and --look as well, which are for files only.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def answered(**values: object) -> None:
            from .opened import open_answers

            names = ("config", "scope", "fresh", "server", "token_file", "insecure")
            given = {name: values.pop(name, None) for name in names}
            command(answers=open_answers(**given, is_remote=is_remote()), **values)

        for option in reversed((config_option, *((scope_option, look_option) if scope else ()), *_REMOTE)):
            answered = option(answered)
        return answered

    return decorate


def is_remote() -> bool:
    """Whether a farm is asked, and not files. What the command line says comes before the environment.

    Raises UsageError where both are said at once, and for options that do not go with what was said.
    """
    context = click.get_current_context()
    source = context.get_parameter_source
    server = source("server") if context.params.get("server") else ParameterSource.DEFAULT
    config = source("config") or ParameterSource.DEFAULT
    if server is config is ParameterSource.COMMANDLINE:
        raise click.UsageError("--server asks a farm, and --config names the files of one: say one of them")
    if server is config is ParameterSource.ENVIRONMENT:
        raise click.UsageError(
            "KMODCI_SERVER and KMODCI_CONFIG are both set, one to a farm, one to files: say --server or --config"
        )
    found = server is not ParameterSource.DEFAULT and config is not ParameterSource.COMMANDLINE
    wrong = _LOCAL_ONLY if found else _REMOTE_ONLY
    said = [option for name, option in wrong.items() if source(name) is ParameterSource.COMMANDLINE]
    if said:
        why = "of files, and a farm is asked" if found else "for a farm, and none is asked: say --server URL"
        raise click.UsageError(f"{said[0]} is {why}")
    return found


_LOCAL_ONLY = {"scope": "--scope", "fresh": "--look", "output": "--output"}
_REMOTE_ONLY = {
    "token_file": "--token-file",
    "insecure": "--insecure",
    "follow": "--follow",
    "rebuild": "--rebuild",
    "wait": "--wait",
    "version": "--version",
}
