"""`kmodci up`: a whole farm on this machine, started, followed and stopped."""

import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console

from ..coverage import causes
from ..coverage import coverage as count
from ..embedded import EmbeddedS3
from ..errors import EngineError, KmodciError, StoreError
from ..farm import Farm
from ..model import Status
from ..opening import open_farm
from ..users import FIRST, Users, first_user
from ..where import embedded
from .coverage import print_causes, print_coverage
from .interrupts import Interrupts, interruptible
from .options import config_option
from .processes import MasterProcess
from .progress import Display, Run, run_of

_LOOK_EVERY = 1.0
_FULL = 1 << 20
"""bytes"""
_FIRST_LOOK = "first-look"
_STOPPING = "stopping: running builds may end, the rest is kept for the next start (Ctrl-C again: now)"


@click.command()
@config_option
@click.option(
    "--all", "everything", is_flag=True, help="Every kernel of config/, not just the newest of Debian stable."
)
@click.option(
    "--module",
    "modules",
    multiple=True,
    metavar="NAME",
    help="Build this module [default: v4l2loopback]; repeatable, '*' is all.",
)
@click.option("--scope", default="", metavar="NAME", help="A scope of kmodci.yml, instead of --all or the default.")
@click.option("--once", is_flag=True, help="Stop the farm when all is built.")
@click.option("--detach", is_flag=True, help="Leave the farm running when all is built; --stop stops it.")
@click.option("--stop", "stopping", is_flag=True, help="Stop the farm that runs on this state, and start nothing.")
def up(
    config: Path, everything: bool, modules: tuple[str, ...], scope: str, once: bool, detach: bool, stopping: bool
) -> None:
    """Start a farm on this machine: S3 server, Buildbot master, latent Docker workers.

    It discovers kernels, builds the module for each, verifies and uploads, and shows how that goes.
    Then it keeps watching for new kernels until Ctrl-C. What is built is not built again.
    """
    if once and detach:
        raise click.UsageError("--once stops the farm at its end, --detach leaves it running: say one of them")
    console = Console()
    # to stop a farm, any scope will do: the one that the configuration names is there
    scope = scope or ("" if stopping else "all" if everything else _FIRST_LOOK)
    farm = open_farm(config, scope=scope, modules=modules or ("v4l2loopback",))
    local = LocalFarm(farm, MasterProcess(farm.paths, config, scope, modules or ("v4l2loopback",)), console)
    if stopping:
        local.stop()
        return
    sys.exit(_run(local, console, once=once, detach=detach))


def _run(local: "LocalFarm", console: Console, *, once: bool, detach: bool) -> int:
    keep = False
    local.refuse_second()
    with interruptible() as local.interrupts:
        try:
            since = local.start()
            end = _follow(local, console, since)
            _tell(local, console, end, keeps_running=not once)
            if detach:
                keep = True
            elif not once:
                local.watch_until_interrupted()
            return 0 if end.is_good else 1
        except KeyboardInterrupt:
            console.print(_STOPPING, soft_wrap=True)
            return 130
        finally:
            if not keep:
                # a Ctrl-C from here on hurries the stop, and does not break it off
                local.interrupts.count = max(local.interrupts.count, 1)
                local.stop()


def _follow(local: "LocalFarm", console: Console, since: float) -> Run:
    with Display(console, slots=local.farm.slots) as display:
        while True:
            began = time.monotonic()
            try:
                now = run_of(local.farm, since=since)
                display.show(now)
                if now.is_over:
                    return now
            except (EngineError, StoreError) as fault:
                # the master waits for what is away, so its display can as well
                display.say(fault.brief)
            local.check()
            # a look costs as much as there are kernels, and what it takes is taken from the builds
            time.sleep(max(_LOOK_EVERY, 50 * (time.monotonic() - began)))


def _tell(local: "LocalFarm", console: Console, now: Run, *, keeps_running: bool) -> None:
    print_coverage(count(now.builds, by_flavour=False))
    print_causes(causes(now.builds, now.waiting))
    for source, fault in now.faults.items():
        console.print(f"  could not read {source}: {fault}", highlight=False, markup=False, soft_wrap=True)
    farm = local.farm
    running = "" if keeps_running else "   (when the farm runs)"
    console.print(f"web UI:    {farm.settings.web.address}{running}", soft_wrap=True, highlight=False)
    console.print(f"bucket:    {farm.bucket.endpoint}/{farm.bucket.bucket}{running}", soft_wrap=True, highlight=False)
    if farm.settings.login.way == "password" and farm.paths.first_password.exists():
        console.print(f"login:     {FIRST}, password in {farm.paths.first_password}", soft_wrap=True, highlight=False)
    example = next((b.entry.build_id for b in now.builds if b.status is Status.BUILT), None)
    if example is not None:
        console.print(f"a module:  .venv/bin/kmodci fetch {example}", soft_wrap=True, highlight=False)


@dataclass(slots=True)
class LocalFarm:
    """The processes of the farm, as one thing that is started and stopped."""

    farm: Farm
    master: MasterProcess
    console: Console
    interrupts: Interrupts = field(default_factory=Interrupts)

    @property
    def s3(self) -> EmbeddedS3 | None:
        return None if self.farm.settings.bucket else embedded(self.farm.settings)

    def refuse_second(self) -> None:
        """Raises KmodciError if a farm runs on this state: that one is not to be touched."""
        if self.master.pid() is not None:
            raise KmodciError(
                f"a farm is running on {self.farm.paths.state} already: {self.farm.settings.web.address}",
                hint="look at it there, or stop it with --stop",
            )

    def start(self) -> float:
        """Starts what is not running. Returns when it was started, in seconds since the epoch."""
        since = time.time()
        self.farm.engines.first()  # says at once when no engine answers
        if self.farm.settings.login.way == "password":
            first_user(Users(self.farm.settings.users_file), self.farm.paths.first_password)
        if self.s3 is not None:
            self.s3.start()
        self.master.start(url=self.farm.settings.web.address)
        self.console.print(f"farm is up: {self.farm.settings.web.address}", highlight=False)
        return since

    def check(self) -> None:
        """Raises KmodciError when the master is gone."""
        if self.master.pid() is None:
            if self.farm.paths.free < _FULL:
                raise KmodciError(
                    f"the master has ended by itself: the disk of {self.farm.paths.state} is full",
                    hint="make room and start it again: it goes on where it was",
                )
            raise KmodciError("the master has ended by itself", hint=f"see {self.farm.paths.master / 'twistd.log'}")

    def _sweep(self) -> None:
        """Leaves no container, on any host that answers."""
        engines = self.farm.engines
        engines.look_at_all()
        engines.sweep()
        for name in engines:
            if engines.is_away(name):
                self.console.print(f"host {name} does not answer: what is left there goes when the farm runs again")

    def watch_until_interrupted(self) -> None:
        self.console.print("watching for new kernels; Ctrl-C stops the farm")
        while True:
            self.check()
            time.sleep(_LOOK_EVERY)

    def stop(self) -> None:
        """Lets running builds end and keeps the queue; a second interrupt cancels them. Leaves no container."""
        try:
            self.master.signal(signal.SIGUSR1)
            while not self.master.wait(0.5):
                if self.interrupts.count > 1:
                    self.master.signal(signal.SIGTERM)
                    break
            if not self.master.wait(30):
                self.master.signal(signal.SIGKILL)
                self.master.wait(5)
            self._sweep()
        finally:
            if self.s3 is not None:
                self.s3.stop()
