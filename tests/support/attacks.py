"""What came of the attacks that a build of the module `attacker`, of the tests' data, has tried."""

import json
from typing import Any

from kmodci.model import Outcome
from support.farm import LiveFarm

TOLD = frozenset({"environment", "environments", "mounts", "status", "processes", "host", "sockets", "left behind"})
"""what is told, whatever it is; of all else, an answer is a success of the attacker's"""


def found_by(farm: LiveFarm, outcome: Outcome) -> dict[str, Any]:
    """What came of each of the attacks of a build."""
    lines = (line[6:] for line in farm.build_log(outcome).splitlines() if line.startswith("found "))
    told = (json.loads(each.replace("\n", "")) for each in "\n".join(lines).split("\n.")[:-1])
    return {each["what"]: each["came"] for each in told}
