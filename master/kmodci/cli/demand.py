"""A build asked of a farm that runs, and followed if that is wanted."""

import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import click
from rich.console import Console

from ..apiclient import ApiClient
from ..errors import FarmAway, NotFound
from ..model import Status
from ..quantities import duration_text
from ..told import BuildTold
from .bar import Bar
from .explaining import explained_by
from .following import Follower, LogPrinter, standing_text
from .interrupts import interruptible
from .output import note, print_facts, print_json
from .remote import wanted

_PATIENCE = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is asked, and what of it is to be seen."""

    client: ApiClient
    build_id: str
    version: str = ""
    rebuild: bool = False
    follow: bool = False
    """with its log"""
    wait: float | None = None
    """seconds until it is given up; None for ever, if it is followed"""
    as_json: bool = False

    @property
    def again(self) -> str:
        """How to go on with it."""
        return f"kmodci build {self.build_id} --follow --server {self.client.server.url}"


def demand(asked: Demand) -> NoReturn:
    """Asks, follows, tells. Ends the command: with 0 for what is built or will be, 1 for what failed.

    Raises FarmAway, Refused, NotFound, BadName; KeyboardInterrupt after it has told that the build goes on.
    """
    question = wanted(asked.build_id, version=asked.version, rebuild=asked.rebuild)
    before = _finished(asked.client, question.id) if asked.rebuild else None
    told = asked.client.ask_build(question)
    is_followed, is_stopped = asked.follow or asked.wait is not None, False
    if is_followed and told.status == Status.BUILT:
        # who asks is told what is published also while that is built anew
        with suppress(NotFound):
            told = asked.client.build(told.id)
    if told.is_coming and is_followed:
        note(f"{told.build_id}: {standing_text(told)}")
        try:
            with interruptible():
                told, is_stopped = _followed(asked, told, before)
        except KeyboardInterrupt:
            note(f"the build goes on at the farm; to follow it again: {asked.again}")
            raise
    _tell(asked, told, is_stopped=is_stopped)
    is_good = told.status == Status.BUILT or (told.is_coming and not is_followed)
    sys.exit(0 if is_good and not is_stopped else 1)


def _finished(client: ApiClient, identity: str) -> float | None:
    """When a build last ended, that is to be built anew."""
    try:
        return client.build(identity).finished
    except NotFound:
        return None  # the question itself will tell why


def _followed(asked: Demand, told: BuildTold, before: float | None) -> tuple[BuildTold, bool]:
    """How it stands at last, and whether that is because it was stopped."""
    # a master that is started again is no reason to go away
    asked.client.be_patient(min(_PATIENCE, asked.wait or _PATIENCE))
    end = time.monotonic() + asked.wait if asked.wait is not None else float("inf")
    with Bar(Console(stderr=True), counted=False) as bar:
        printer = LogPrinter(bar, to_stderr=asked.as_json) if asked.follow else None
        # the build of another version was never made
        ask = partial(asked.client.ask_build, wanted(asked.build_id, version=asked.version))
        follower = Follower(client=asked.client, ask=ask, before=before, log=printer, bar=bar, end=end)
        try:
            found = follower.follow(told)
        finally:
            if printer:
                printer.end()
    if found is None:
        raise FarmAway(
            f"{told.build_id} has not ended within {duration_text(asked.wait or 0)}; it goes on at the farm",
            hint=f"to follow it again: {asked.again}",
        )
    return found, follower.is_stopped


def _tell(asked: Demand, told: BuildTold, *, is_stopped: bool) -> None:
    if is_stopped:
        again = f"{asked.again} --rebuild" if asked.rebuild else asked.again
        note(f"it was stopped, or the farm failed or holds it; this asks for it again: {again}")
    if asked.as_json:
        print_json(told.plain())
        return
    # where stdout has the log, what came of it is beside that
    to_stderr = asked.follow
    click.echo(f"{told.build_id}: {standing_text(told)}", err=to_stderr)
    facts = explained_by(told).facts
    shown = ("kernel", "compiler", "module", "page", "manifest", "log", "files")
    print_facts({"id": told.id, **{name: facts[name] for name in shown}, "status": told.status_url}, err=to_stderr)
    if is_stopped:
        return
    if told.is_coming:
        note(f"to follow it: {asked.again}")
    elif told.status != Status.BUILT:
        if told.others:
            note(f"published for this kernel in version {', '.join(told.others)}: say --version")
        note("--rebuild has it tried again")
