"""Who asks, what that one may, and how often. A cookie is good for reading alone: none builds by it."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from math import ceil

from twisted.web.server import Request

from ...apianswers import ErrorTold
from ...errors import StoreError
from ...ratelimit import Limiter, Quota, asker
from ...settings import Settings
from ...tokens import May, Tokens
from ..origin import header

_SCHEME = "bearer"
# of a list of addresses, from its end
_LONGEST = 500
DEAR = 10
"""as how many requests one counts whose answer has to be made first, in a thread"""


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, told: ErrorTold, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}: {told.message}")
        self.status = int(status)
        self.told = told
        self.headers = headers or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks."""

    token: str = ""
    """its name; empty for who has none"""
    may_build: bool = False
    who: str = ""
    """by whom requests are counted"""


class Access:
    """Of one farm. From the reactor's thread only."""

    def __init__(self, settings: Settings) -> None:
        api = settings.api
        self._proxies = settings.web.proxies
        self._tokens = Tokens(settings.tokens_file)
        self._limiter = Limiter(api.rate, api.burst)
        self.quota = Quota(api.queue)
        self.answers: Counter[int] = Counter()
        """by status"""

    def shows_token(self, request: Request) -> bool:
        """Whether who asks has one, whatever it is good for."""
        scheme, _, secret = header(request, "Authorization").partition(" ")
        try:
            return scheme.lower() == _SCHEME and bool(self._caller(secret.strip()).token)
        except Refused:
            return False

    def enter(self, request: Request) -> Caller:
        """Raises Refused for a token that is none, and for who asks too often."""
        scheme, _, secret = header(request, "Authorization").partition(" ")
        caller = Caller()
        if scheme.lower() == _SCHEME:
            caller = self._caller(secret.strip())
        who = f"token {caller.token}"
        if not caller.token:
            forwarded = header(request, "X-Forwarded-For") if self._proxies else ""
            who = asker(request.getClientAddress().host, forwarded[-_LONGEST:], self._proxies)
        if wait := self._limiter.take(who, time.monotonic()):
            told = ErrorTold(message="too many requests", hint="ask again after what Retry-After says")
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, told, {"Retry-After": str(ceil(wait))})
        if scheme.lower() == _SCHEME and not caller.token:
            raise who_asks("this token is none of this farm's")
        return replace(caller, who=who)

    def charge(self, caller: Caller, cost: int) -> None:
        """This request counts as so many more."""
        self._limiter.charge(caller.who, cost)

    def count(self, status: int) -> None:
        self.answers[int(status)] += 1

    def _caller(self, secret: str) -> Caller:
        try:
            found = self._tokens.find(secret)
        except StoreError as error:
            told = ErrorTold(message="the farm cannot read its tokens", hint="`kmodci token list` tells why")
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, told, {"Retry-After": "60"}) from error
        return Caller(token=found.name, may_build=found.may is May.BUILD) if found else Caller()


def who_asks(message: str) -> Refused:
    """It takes a token that was not shown."""
    told = ErrorTold(message=message, hint="`kmodci token add` makes one; send it as `Authorization: Bearer <token>`")
    return Refused(HTTPStatus.UNAUTHORIZED, told, {"WWW-Authenticate": "Bearer"})
