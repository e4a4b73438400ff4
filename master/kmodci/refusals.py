"""What an answer of a farm's API means that is not the one hoped for, in words that say what to do next."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urljoin

from pydantic import ValidationError

from .apiserver import Server
from .errors import FarmAway, KmodciError, NotFound, Refused
from .told import RefusalTold, printable

_MOST_WAIT = 3600.0
_ASK_WITH_ONE = "say --token-file FILE (or KMODCI_TOKEN_FILE); on the farm's machine, `kmodci token add NAME` makes one"
_KNOWN_TOKENS = "`kmodci token list` on the farm's machine tells which there are, and what each may"
_NO_FARM = "--server is the address of the farm's web UI, with its path if it has one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One answer, as it came."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """`application/json`, for instance; empty if it does not say."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def retry_after(self) -> float:
        """Seconds, as the server says; 0 if it does not."""
        text = self.headers.get("Retry-After", "")
        return min(float(text[:6]), _MOST_WAIT) if text.isascii() and text.isdigit() else 0.0

    @property
    def is_ours(self) -> bool:
        """Whether a kmodci has answered, and not Buildbot, a proxy or something else."""
        return 200 <= self.status < 300 or self.error is not None

    @property
    def error(self) -> RefusalTold | None:
        """What it says of a refusal; None where a farm would not have said it so."""
        found = self.json()
        try:
            return RefusalTold.model_validate(found["error"]) if found and isinstance(found["error"], dict) else None
        except (KeyError, ValidationError):
            return None

    def json(self) -> dict[str, object] | None:
        """The object in it; None if it is something else."""
        if self.kind != "application/json":
            return None
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


def refusal(answered: Answered, *, server: Server, kind: str, has_token: bool) -> KmodciError | None:
    """The error that an answer stands for; None for one that is good. kind: the type of a good one."""
    status = answered.status
    if 300 <= status < 400:
        goal = printable(urljoin(answered.url, answered.headers.get("Location", "")))[:200]
        return Refused(f"{answered.url} leads to {goal}, and no redirect is followed", hint="say --server with that")
    said = answered.error
    if 200 <= status < 300:
        return None if answered.kind == kind else _no_farm(answered, server)
    if said is None:
        # a proxy in between has words of its own
        return _away(answered, _title(status)) if status >= 500 else _foreign(answered, server, has_token)
    match status:
        case 401:
            told = "the farm does not know this token" if has_token else said.message
            return Refused(told, hint=_KNOWN_TOKENS if has_token else _ASK_WITH_ONE)
        case 403:
            return Refused(said.message, hint=said.hint or _KNOWN_TOKENS)
        case 404:
            return NotFound(said.message, hint=said.hint or _nearest(said))
        case 429:
            return FarmAway(said.message, hint=said.hint or "it takes so many questions in a while, and no more")
        case _ if status >= 500:
            return FarmAway(said.message, hint=said.hint or "`state/master/twistd.log` on the farm's machine says why")
        case _:
            wrong = "".join(f"\n  {name}: {what}" for name, what in (said.fields or {}).items())
            return Refused(f"{said.message}{wrong}", hint=said.hint)


def _foreign(answered: Answered, server: Server, has_token: bool) -> KmodciError:
    """What is not a farm's own refusal."""
    if answered.status in (401, 403, 407):
        what = f"{server.url}: {_title(answered.status)}, says something before the farm"
        return Refused(what, hint="is there a proxy with a login of its own?")
    if answered.status in (404, 405):
        return _no_farm(answered, server)
    return Refused(f"{answered.url}: {_title(answered.status)}", hint=_NO_FARM)


def _no_farm(answered: Answered, server: Server) -> KmodciError:
    kind = printable(answered.kind)[:60] or "nothing that says what it is"
    what = f"no farm answers at {server.url}: {_title(answered.status)}, {kind}"
    return NotFound(what, hint=f"{_NO_FARM}; a farm of an older version has no API")


def _away(answered: Answered, why: str) -> KmodciError:
    return FarmAway(f"{answered.url}: {why}", hint="a proxy before the farm says so; does the farm run?")


def _nearest(said: RefusalTold) -> str:
    return f"the nearest are: {', '.join(said.nearest)}" if said.nearest else ""


def _title(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
