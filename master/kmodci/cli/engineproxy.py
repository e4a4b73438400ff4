"""`kmodci engine-proxy`: a Docker engine's socket for a farm that may do only what a farm needs."""

import grp
import pwd
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click

from ..enginebodies import FARM
from ..enginepolicy import Policy
from ..engineproxy import Proxy, listen, ping, serve
from ..quantities import size

_DOCKER = "unix:///var/run/docker.sock"


class _Socket(click.ParamType[Path]):
    """`unix:///run/x.sock`, or its path."""

    name = "socket"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        url = urlsplit(str(value))
        if url.scheme not in ("", "unix") or url.netloc or not url.path.startswith("/"):
            self.fail(f"{value}: only unix sockets, as in unix:///run/kmodci-engine/docker.sock", param, ctx)
        return Path(url.path)


class _Id(click.ParamType[int]):
    """A user or group, by its number or its name."""

    def __init__(self, name: str, find: Callable[[str], int]) -> None:
        self.name, self._find = name, find

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        try:
            return int(text) if text.isdecimal() else self._find(text)
        except KeyError:
            self.fail(f"there is no {self.name} {text} here: say its number", param, ctx)


class _Size(click.ParamType[int]):
    """`8GiB`; bytes."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(str(size(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option("--listen", "path", type=_Socket(), required=True, metavar="URL", help="The socket that the farm gets.")
@click.option("--engine", type=_Socket(), default=_DOCKER, show_default=True, metavar="URL", help="The engine's own.")
@click.option(
    "--farm",
    default="",
    metavar="ID",
    help="Only containers and volumes of this farm (the file master/farm-id of its state), not of any farm.",
)
@click.option("--owner", type=_Id("user", lambda name: pwd.getpwnam(name).pw_uid), metavar="USER",
              help="Whose the socket is, by name or number.")  # fmt: skip
@click.option("--group", type=_Id("group", lambda name: grp.getgrnam(name).gr_gid), metavar="GROUP",
              help="Its group, by name or number.")  # fmt: skip
@click.option("--mode", type=click.Choice(["600", "660"]), help="Who may use it  [default: 660 with --group, else 600]")
@click.option("--memory", type=_Size(), default="8GiB", show_default=True, help="What one container may have at most.")
@click.option("--processes", type=click.IntRange(1), default=4096, show_default=True, help="The same of processes.")
@click.option("--check", is_flag=True, help="Ask whether a proxy that listens there, and its engine, answer; no more.")
def engineproxy(
    path: Path,
    engine: Path,
    farm: str,
    owner: int | None,
    group: int | None,
    mode: str | None,
    memory: int,
    processes: int,
    check: bool,
) -> None:
    """Give a farm a socket of the Docker engine at which only what a farm needs is allowed.

    It runs in a process (or container) of its own, which has the engine's socket; the master has this one, in
    kmodci.yml: `engine: {docker_host: unix:///run/kmodci-engine/docker.sock, same_machine: false}`. What is refused is
    answered with 403 and its reason, and written to stderr. SIGTERM ends it. It reads no configuration.

    \b
    kmodci engine-proxy --listen unix:///run/kmodci-engine/docker.sock --group kmodci
    kmodci engine-proxy --listen unix:///run/kmodci-engine/docker.sock --check
    """
    if check:
        ping(str(path))
        return
    if farm and not re.fullmatch(FARM, farm):
        raise click.BadParameter(f"{farm!r} is no farm's id", param_hint="--farm")
    bits = int(mode or ("600" if group is None else "660"), 8)
    policy = Policy(farm=farm, memory=memory, processes=processes)
    listening = listen(path, mode=bits, owner=owner, group=group)
    made = path.stat()
    try:
        _say(f"listening at {path} for {f'farm {farm}' if farm else 'farms'}, in front of {engine}")
        serve(Proxy(policy=policy, engine=str(engine), say=_say), listening)
        _say("ended")
    finally:
        # unless another one has taken its place
        if path.exists() and path.stat().st_ino == made.st_ino:
            path.unlink()


def _say(line: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line}\n")
    sys.stderr.flush()
