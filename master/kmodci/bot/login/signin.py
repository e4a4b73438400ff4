"""Logging in with a password: a form, or, for a program, `curl --user`. Tries are limited, and written down."""

import base64
import binascii
import time
from http import HTTPStatus
from math import ceil
from typing import NoReturn

from buildbot.master import BuildMaster
from buildbot.www.auth import AuthBase
from twisted.internet import defer, threads
from twisted.python import log
from twisted.web.error import Error
from twisted.web.resource import IResource
from twisted.web.server import Request

from ...loginlimit import Pauses
from ...ratelimit import asker
from ...settings import Settings
from ...users import User, Users
from ..origin import header
from ..pages.base import Page, argument
from .landing import landing
from .rules import MARK, WAY

# Each takes 32 MiB and a thread; who waits behind more than these is asked to come again.
_AT_ONCE, _WAITING = 2, 32
_BY_ADDRESS, _BY_USER = 900, 30
"""seconds that a pause may last. Of a user it is short: anybody could keep that one out with it."""


class PasswordAuth(AuthBase):
    """Users of a file."""

    def __init__(self, settings: Settings, users: Users) -> None:
        super().__init__()
        self._users, self._proxies = users, settings.web.proxies
        self._by_address, self._by_user = Pauses(longest=_BY_ADDRESS), Pauses(longest=_BY_USER)
        self._threads = defer.DeferredSemaphore(_AT_ONCE)

    def getLoginResource(self) -> IResource:
        return SignIn(self.master, self)

    def take(self, request: Request, name: str) -> float:
        """Notes a try. Returns the seconds to wait before the next, or 0."""
        now = time.monotonic()
        wait = self._by_address.take(self.address(request), now)
        return wait or self._by_user.take(name, now)

    async def login(self, request: Request, name: str, password: str) -> User | None:
        """Who that is, or None. Raises StoreError, and SecretUnusable."""
        user = await self._threads.run(threads.deferToThread, self._users.login, name, password)
        who = name if self._users.find(name) else "somebody unknown"  # who may have mistaken the field
        log.msg(f"{who} {'logs in' if user else 'is refused'} from {self.address(request)}")
        if user:
            self._by_address.give_back(self.address(request))
            self._by_user.forget(name)
        return user

    @property
    def is_busy(self) -> bool:
        return len(self._threads.waiting) >= _WAITING

    def address(self, request: Request) -> str:
        """Who asks, with what proxies that are trusted say of it."""
        forwarded = header(request, "X-Forwarded-For") if self._proxies else ""
        return asker(request.getClientAddress().host, forwarded, self._proxies)


class SignIn(Page):
    """/auth/login"""

    is_open = True

    def __init__(self, master: BuildMaster, auth: PasswordAuth) -> None:
        super().__init__(master)
        self._auth = auth

    async def get(self, request: Request) -> bytes:
        if given := _basic(request):
            # asks for no such header itself: a browser would send it along from then on
            await self._enter(request, *given)
            return b""
        return self.form(request, argument(request, "redirect"))

    async def post(self, request: Request) -> bytes:
        name, wanted = argument(request, "user").strip()[:100], argument(request, "redirect")
        try:
            await self._enter(request, name, argument(request, "password"))
        except Error as refusal:
            request.setResponseCode(int(refusal.status))
            return self.form(request, wanted, refusal.message.decode())
        return self.see_other(request, landing(wanted))

    def form(self, request: Request, wanted: str, refusal: str = "") -> bytes:
        return self.html(request, "signin.html.j2", wanted=wanted, refusal=refusal)

    async def _enter(self, request: Request, name: str, password: str) -> None:
        """Begins the session, or refuses."""
        if wait := self._auth.take(request, name):
            self._wait(request, HTTPStatus.TOO_MANY_REQUESTS, wait, "too many tries")
        if self._auth.is_busy:
            self._wait(request, HTTPStatus.SERVICE_UNAVAILABLE, 5, "too many log in at once")
        user = await self._auth.login(request, name, password)
        if user is None:
            self.refuse(HTTPStatus.FORBIDDEN, "no user has this name and this password")
        session = request.getSession()
        session.user_info = {"username": user.name, "email": user.name, WAY: "password", MARK: user.mark}
        session.updateSession(request)

    def _wait(self, request: Request, status: int, seconds: float, why: str) -> NoReturn:
        request.setHeader("Retry-After", str(ceil(seconds)))
        self.refuse(status, f"{why}: try again in {ceil(seconds)} s")


def _basic(request: Request) -> tuple[str, str] | None:
    """Name and password of an `Authorization: Basic` header, if there is one that can be read."""
    scheme, _, data = header(request, "Authorization").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(data.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name[:100], password
