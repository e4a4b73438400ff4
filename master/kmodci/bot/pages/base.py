"""What the farm's own pages have in common: they are made on the master, from templates, and work without a script.

A page is rendered by `get`, acts by `post`, and tells what is wrong in a page of its own. What a browser is allowed to
do with one is said in its headers.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache, partial
from typing import NoReturn

import jinja2
from buildbot.www.resource import Resource
from twisted.internet import defer
from twisted.web import http
from twisted.web.error import Error
from twisted.web.resource import IResource
from twisted.web.server import Request

from ...errors import KmodciError, NotFound
from ...quantities import age_text, duration_text
from ...release import BadName
from ..menu import STATIC
from ..origin import is_own

HTML = "text/html; charset=utf-8"
_FORM = "application/x-www-form-urlencoded"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    # with none at all, a form's Origin would be "null"
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Page(Resource):
    """Has the master, and answers to the path that it is mounted at. Subclasses write `get`, and `post` if they act."""

    async def get(self, request: Request) -> bytes:
        """The page. Raises NotFound, and KmodciError for what does not work just now."""
        raise NotFound("there is no such page")

    async def post(self, request: Request) -> bytes:
        """Does something, and returns `see_other` as a rule."""
        self.refuse(http.NOT_ALLOWED, "this page cannot be written to")

    def getChild(self, path: bytes, request: Request) -> IResource:
        """A slash at the end is of no consequence; anything else is not there."""
        return self if not path else Page(self.master)

    def render_GET(self, request: Request) -> int:
        return self._render(request, self.get)

    def render_POST(self, request: Request) -> int:
        return self._render(request, self._checked_post)

    def html(self, request: Request, template: str, **values: object) -> bytes:
        """A template, filled. In it `root` leads to the master's first page, wherever that is for this reader."""
        request.setHeader("Content-Type", HTML)
        root = _root(request)
        return _templates().get_template(template).render(values, root=root, static=f"{root}{STATIC}").encode()

    def see_other(self, request: Request, path: str) -> bytes:
        """After something was done. path: of the page that shows it, below the master's first."""
        request.setResponseCode(http.SEE_OTHER)
        request.setHeader("Location", _root(request) + path)
        return b""

    def refuse(self, status: int, why: str) -> NoReturn:
        """Answers with this status instead. why: a sentence for the reader."""
        raise Error(status, why.encode())

    def user(self, request: Request) -> str:
        """Who asks, for the record."""
        known = self.master.www.getUserInfos(request)
        return str(known.get("email") or known.get("username") or "an anonymous user")

    async def assert_allowed(self, request: Request, *path: str, action: str) -> None:
        """Asks the same rules (`authz`) as Buildbot's own control endpoints do, and refuses with 403."""
        await defer.maybeDeferred(self.master.www.assertUserAllowed, request, path, action, {})

    def _render(self, request: Request, work: Callable[[Request], Awaitable[bytes]]) -> int:
        for name, value in _HEADERS.items():
            request.setHeader(name, value)
        refusal = partial(self._write_refusal, request)
        return self.asyncRenderHelper(request, lambda it: defer.ensureDeferred(_told(work, it)), refusal)

    async def _checked_post(self, request: Request) -> bytes:
        """A form of another site cannot press a button here: a browser says whose page a form is on."""
        if not is_own(self.master, request.getHeader("Origin") or ""):
            self.refuse(http.FORBIDDEN, f"not from a page of this farm: open it as {self.base_url} and try again")
        if (request.getHeader("Content-Type") or "").partition(";")[0].strip().lower() != _FORM:
            self.refuse(http.UNSUPPORTED_MEDIA_TYPE, f"a form is sent as {_FORM}")
        return await self.post(request)

    def _write_refusal(self, request: Request, message: bytes, errcode: int = http.BAD_REQUEST) -> None:
        request.setResponseCode(errcode)
        meaning = http.RESPONSES.get(errcode, b"").decode()
        text = message.decode(errors="replace")
        request.write(self.html(request, "refusal.html.j2", status=errcode, meaning=meaning, message=text))
        request.finish()


def _root(request: Request) -> str:
    """From this page to the master's first: a proxy may serve that below any path."""
    return "../" * (len(request.prepath) - 1)


async def _told(work: Callable[[Request], Awaitable[bytes]], request: Request) -> bytes:
    try:
        return await work(request)
    except (NotFound, BadName) as error:
        raise Error(http.NOT_FOUND, str(error).encode()) from error
    except KmodciError as error:
        raise Error(http.SERVICE_UNAVAILABLE, str(error).encode()) from error


def argument(request: Request, name: str) -> str:
    """A field of the query or of a form; empty if it is not there, or no text."""
    return (request.args or {}).get(name.encode(), [b""])[0].decode(errors="replace")


@cache
def _templates() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("kmodci"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        # they belong to the program that runs, not to what was installed since
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["duration"] = duration_text
    found.filters["roughly"] = _roughly
    found.filters["clock"] = _clock
    found.filters["day"] = _day
    found.filters["ago"] = _ago
    return found


def _roughly(seconds: float) -> str:
    """An estimate is not good to the second."""
    return duration_text(seconds if seconds < 120 else round(seconds / 60) * 60)


def _clock(when: float) -> str:
    """when: seconds since the epoch."""
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _day(when: float) -> str:
    """when: seconds since the epoch."""
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d}"


def _ago(when: float, now: float) -> str:
    """when, now: seconds since the epoch; 0 is never."""
    return f"{age_text(now - when)} ago" if when else "never"
