"""The farm's ports: is a farm there, and is it well; if none runs, are they free, and who has them if not?"""

import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kmodci.findings import Finding, good, wrong

_PATIENCE = 15
_LISTENS = "0A"
"""TCP_LISTEN in include/net/tcp_states.h"""


def of_farm(address: str, pid: int) -> Iterator[Finding]:
    """A farm that runs. address: `http://127.0.0.1:8010/`, of its web interface on this machine."""
    url = f"{address}healthz"
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:  # noqa: S310 our own address
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    except OSError as error:
        reason = getattr(error, "reason", error)
        yield wrong(f"a farm runs (process {pid}), and does not answer at {url}: {reason}", "see master/twistd.log")
        return
    try:
        told = json.loads(body)
        problems = [str(each) for each in told["problems"]]
    except (ValueError, KeyError, TypeError):
        yield wrong(f"{url} is answered by something that is no farm", "see `web:` in kmodci.yml")
        return
    for problem in problems:
        yield wrong(f"the farm says: {problem}", "the page Sources, the page Hosts and master/twistd.log say more")
    if not problems:
        yield good(f"a farm runs (process {pid}), and says that it is well")


def of_port(host: str, port: int, *, what: str, ours: Path | None = None) -> Finding:
    """Of a farm that does not run. ours: the file with the process that may have it, left by an earlier farm."""
    holder = _holder(port)
    if ours is not None and holder and ours.exists() and ours.read_text().strip() == holder[0]:
        return good(f"port {port} ({what}) is this farm's own server, left running; the next start takes it over")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            by = f" by {holder[1]} (process {holder[0]})" if holder else ""
            advice = "end that, or say another `web.port:` in kmodci.yml (the embedded S3 server has the one above)"
            return wrong(f"port {port} ({what}) of {host} is not to be had{by}: {error.strerror}", advice)
    return good(f"port {port} ({what}) is free")


def _holder(port: int) -> tuple[str, str] | None:
    """Process and program that listen there, of those that this user may look at."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == _LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{words[9]}]")
    for process in Path("/proc").iterdir() if inodes else ():
        if re.fullmatch("[0-9]+", process.name):
            with suppress(OSError):
                for each in (process / "fd").iterdir():
                    if str(each.readlink()) in inodes:
                        return process.name, (process / "comm").read_text().strip()
    return None
