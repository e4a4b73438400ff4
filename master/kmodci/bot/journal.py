"""The master's log as one JSON object a line, for programs that collect logs: `log: {format: json}` in kmodci.yml.

Twisted's own `jsonFileLogObserver` writes down all that an event holds: objects by their repr, of which nobody knows
what it tells. Here it is the message and a few fields by name, of which the build id is one, so that a build can be
followed through the farm.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from twisted.logger import FileLogObserver, formatEvent
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile

from ..errors import KmodciError
from ..model import BuildId

FIELDS = ("build_id", "run", "build", "step", "worker", "host", "source", "receiver")
"""what `log.msg` may be given beside its message. build: Buildbot's number of it; the rest are names"""
_BUILD_ID = re.compile(r"(?<![\w./+~-])[\w.+-]+/[a-z0-9.]+-[\w.+-]+-[a-z0-9]+/[\w.+~:-]*\w")


def json_log(file: LogFile) -> FileLogObserver:
    """An observer that writes there."""
    return FileLogObserver(file, json_line)


def json_line(event: Mapping[str, object]) -> str:
    """An event of Twisted's as one line, all of it ASCII. Never raises."""
    old, new = event.get("failure"), event.get("log_failure")
    # by the old way (`log.err`) the traceback is a part of the text
    message = str(event.get("why") or "an error" if isinstance(old, Failure) else formatEvent(event) or "")
    told: dict[str, object] = {
        "time": _time(event.get("log_time")),
        "level": str(getattr(event.get("log_level"), "name", "info")),
        "message": message,
    }
    told |= {name: _plain(event[name]) for name in FIELDS if event.get(name)}
    if "build_id" not in told and (found := build_id_in(message)):
        told["build_id"] = found
    failure = new if isinstance(new, Failure) else old
    if isinstance(failure, Failure):
        told["failure"] = str(getattr(failure.type, "__name__", "Exception"))
        told["traceback"] = str(failure.getTraceback())
    return json.dumps(told) + "\n"


def build_id_in(text: str) -> str:
    """The first build id that a text names; empty if it names none."""
    for found in _BUILD_ID.findall(text):
        try:
            return str(BuildId.parse(found.removeprefix("forced:")))
        except KmodciError:
            continue
    return ""


def _plain(value: object) -> str | int | float:
    return value if isinstance(value, (int, float)) else str(value)


def _time(when: object) -> str:
    """RFC 3339, in UTC, to the millisecond."""
    at = datetime.fromtimestamp(when if isinstance(when, (int, float)) else 0, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
