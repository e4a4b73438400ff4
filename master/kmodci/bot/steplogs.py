"""Which logs of a build are for people, and where Buildbot has them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from buildbot.master import BuildMaster

# how a build went; the manifest, and what went in, are told otherwise
_TOLD = frozenset({"fault", "problems", "stdio", "why"})
_ADDRESS = re.compile(r"#/?builders/([0-9]{1,18})/builds/([0-9]{1,18})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLog:
    """One of them, as Buildbot's data API describes it."""

    step: str
    name: str
    identity: int
    lines: int
    has_streams: bool
    """whether the first character of each line says of which stream that is (h, o, e)"""


def path_of(url: str) -> tuple[str, ...]:
    """Of a build, in Buildbot's data, by its address in the web interface; empty if that is none."""
    found = _ADDRESS.search(url)
    return ("builders", found[1], "builds", found[2]) if found else ()


async def logs_of(master: BuildMaster, path: tuple[str, ...]) -> list[StepLog]:
    """In the order in which they were begun. path: of a build that there is."""
    found = []
    for step in await master.data.get((*path, "steps")):
        logs = await master.data.get(("steps", str(step["stepid"]), "logs"))
        found += [_described(step["name"], log) for log in logs if log["slug"] in _TOLD]
    return sorted(found, key=lambda log: log.identity)


def _described(step: str, log: Mapping[str, object]) -> StepLog:
    return StepLog(
        step=step,
        name=str(log["slug"]),
        identity=int(str(log["logid"])),
        lines=int(str(log["num_lines"])),
        has_streams=log["type"] == "s",
    )
