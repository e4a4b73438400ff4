"""The command line: `kmodci`. Each command has a module of its own, which is imported when it is called."""

import sys
from importlib import import_module

import click

from ..errors import KmodciError

# The help is here as well, so that to show it all of a farm need not be imported.
_COMMANDS = {
    "check": "Check the configuration; tell each mistake, with its line.",
    "doctor": "Say what is wrong with a farm, and what to do about it.",
    "kernels": "List the kernels of the repositories, or how these are.",
    "accept": "Take a repository at its word, where that is in doubt.",
    "plan": "List the builds that are due, and why.",
    "images": "List the toolchain images, and who needs them.",
    "hosts": "List the build hosts, and how each is.",
    "runs": "List the runs, and tell how each went.",
    "watch": "Show how a run goes, until it ends.",
    "coverage": "Count what is built, failed, unavailable, skipped and pending.",
    "explain": "Say why a build is what it is, and what it is made of.",
    "build": "Build one module for one kernel: here by hand, or by a farm.",
    "fetch": "Fetch a published module from the bucket.",
    "notify": "List who is told what became of runs, or send a test message.",
    "gc": "Tell what need not be kept any longer, or remove it.",
    "index": "Make index and outcomes again, from the bucket.",
    "token": "Make, list and remove the tokens of the HTTP API.",
    "bench": "Tell how well a run used the machine.",
    "user": "Add, list and remove who may log in with a password.",
    "engine-proxy": "Give a farm a Docker socket for what it needs only.",
    "up": "Start a farm on this machine.",
    "serve": "Run the master of a farm in the foreground.",
    "backup": "Write what the farm alone has to a file.",
    "restore": "Bring back what a backup has.",
    "serve-s3": "Serve a folder as S3, in the foreground.",
    "serve-images": "Make toolchain images for a master that may not.",
    "completion": "Print the script that completes these words in a shell.",
}


class _Commands(click.Group):
    """Commands by name: the function `up` of the module `up`, `engineproxy` for `engine-proxy`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "")
        command = getattr(import_module(f".{name}", __name__), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kmodci")
def kmodci() -> None:
    """A build farm for out-of-tree Linux kernel modules.

    Every command works on the configuration in config/, or in the folder that --config (KMODCI_CONFIG) names, and has
    --json for programs (not engine-proxy, which knows no farm). coverage, explain, build, watch, runs and kernels ask a
    farm that runs instead, with --server URL (KMODCI_SERVER); --token-file (KMODCI_TOKEN_FILE) names the file with a
    token, where the farm wants one.

    \b
    Exit status:
      0    good
      1    something failed
      2    a mistake in what was asked for, or in the configuration; a farm refused
      3    a farm did not answer, or what was waited for had not ended in time
      130  Ctrl-C
    """


def main() -> None:
    """Runs the command line; an error that a user can mend is told without a traceback."""
    try:
        kmodci(prog_name="kmodci", standalone_mode=False)
    except KmodciError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
