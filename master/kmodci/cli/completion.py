"""`kmodci completion`: the script that teaches a shell to complete its words."""

import sys

import click
from click.shell_completion import get_completion_class

from .options import json_option
from .output import note, print_json

_VARIABLE = "_KMODCI_COMPLETE"
_INSTALL = {
    "bash": "kmodci completion bash >~/.local/share/bash-completion/completions/kmodci",
    "zsh": 'kmodci completion zsh >"${fpath[1]}/_kmodci"',
    "fish": "kmodci completion fish >~/.config/fish/completions/kmodci.fish",
}


@click.command()
@click.argument("shell", type=click.Choice([*_INSTALL]))
@json_option
def completion(shell: str, as_json: bool) -> None:
    """Print the script that completes kmodci's commands, options, build ids, kernels and runs in SHELL.

    Names come from the farm's files (--config, KMODCI_CONFIG), or from the farm that --server or KMODCI_SERVER name.
    `kmodci` has to be on the PATH. For this shell only:

    \b
    source <(kmodci completion bash)
    source <(kmodci completion zsh)
    kmodci completion fish | source

    For every new one:

    \b
    kmodci completion bash >~/.local/share/bash-completion/completions/kmodci
    kmodci completion zsh >"${fpath[1]}/_kmodci"
    kmodci completion fish >~/.config/fish/completions/kmodci.fish
    """
    found = get_completion_class(shell)
    assert found is not None  # click has all three
    script = found(click.get_current_context().find_root().command, {}, "kmodci", _VARIABLE).source()
    if as_json:
        print_json({"shell": shell, "script": script, "install": _INSTALL[shell]})
        return
    click.echo(script)
    if sys.stdout.isatty():
        note(f"to have it in every new shell: {_INSTALL[shell]}")
