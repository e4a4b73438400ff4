"""`kmodci notify`: who is told what became of runs, and whether they are reached."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from ..errors import KmodciError, NotFound, StoreError
from ..newsstore import Letter, NewsStore
from ..newswords import words_of
from ..notifyfile import Receiver, addressees
from ..quantities import age_text
from ..settings import Settings, load
from ..yamlfile import suggestion
from .options import config_option, json_option
from .output import print_json, print_table
from .remembered import farm_store


@click.command()
@click.argument("receivers", nargs=-1)
@click.option("--test", "is_test", is_flag=True, help="Send each a test message, and tell what it answered.")
@config_option
@json_option
def notify(receivers: tuple[str, ...], is_test: bool, config: Path, as_json: bool) -> None:
    """List the RECEIVERS that are told what became of runs, or send them a test message.

    Without a name, all that `notify:` of kmodci.yml has; with what is on its way to each, and since when. Each
    address of a mail is told by itself. A receiver on GitHub gets no test message: its token is tried. Exit status 1 if
    one was not reached.

    \b
    kmodci notify
    kmodci notify --test
    kmodci notify --test team
    """
    settings = load(config)
    names = receivers or tuple(settings.notify)
    for name in names:
        if name not in settings.notify:
            raise NotFound(
                f"no receiver {name[:80]!r}{suggestion(name, settings.notify)}", hint="see notify: in kmodci.yml"
            )
    if is_test:
        _test(config, names, as_json)
    else:
        _list(settings, names, as_json)


def _list(settings: Settings, names: Sequence[str], as_json: bool) -> None:
    receivers = addressees({name: settings.notify[name] for name in names})
    letters, now = _letters(settings), time.time()
    if as_json:
        print_json({"receivers": [_plain(name, each, letters.get(name, [])) for name, each in receivers.items()]})
        return
    if not receivers:
        click.echo("nobody is told: notify: in kmodci.yml has no receivers")
        return
    rows = []
    for name, receiver in receivers.items():
        waiting = letters.get(name, [])
        since = f"{len(waiting)}, since {age_text(now - waiting[0].written)}" if waiting else "nothing"
        rows.append((name, receiver.kind, _of_what(receiver), since))
    print_table(("receiver", "kind", "of", "on its way"), rows)


def _letters(settings: Settings) -> dict[str, list[Letter]]:
    """What is on its way, by whom it is for; nothing where no farm has run, or one that had no receivers yet."""
    found: dict[str, list[Letter]] = {}
    store = farm_store(settings)
    try:
        for letter in NewsStore(store).letters() if store else ():
            found.setdefault(letter.receiver, []).append(letter)
    except StoreError as error:
        if "no such table" not in error.brief and "does not exist" not in error.brief:
            raise
    return found


def _plain(name: str, receiver: Receiver, letters: Sequence[Letter]) -> dict[str, object]:
    return {
        "receiver": name,
        "kind": receiver.kind,
        "on": [] if receiver.github else list(receiver.on),
        "waiting": [{"written": each.written, "title": words_of(each.news).title} for each in letters],
    }


def _of_what(receiver: Receiver) -> str:
    if receiver.github:
        return f"commits on {receiver.github.host}"
    return ", ".join(receiver.on) + (", forced too" if receiver.forced else "")


def _test(config: Path, names: Sequence[str], as_json: bool) -> None:
    answers: list[Mapping[str, object]] = []
    for answer in _answers(config, names) if names else ():
        answers.append(answer)
        if not as_json:
            state = "good" if answer["ok"] else click.style("not reached", bold=True)
            click.echo(f"{answer['receiver']}: {state}: {answer['said']}")
    if as_json:
        print_json({"receivers": answers})
    elif not names:
        click.echo("nobody to send a test message to: notify: in kmodci.yml has no receivers")
    if not all(answer["ok"] for answer in answers):
        sys.exit(1)


def _answers(config: Path, names: Sequence[str]) -> Iterator[Mapping[str, object]]:
    """Asks by the farm's own reporters, which are Buildbot's, and so in a process that may import that."""
    command = (sys.executable, "-m", "kmodci.bot.trial", str(config), *names)
    # its log may quote what it was to keep to itself
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise KmodciError(
            f"the test messages could not be sent (exit status {process.returncode})",
            hint=f"`{' '.join(command)}` tells more",
        )
