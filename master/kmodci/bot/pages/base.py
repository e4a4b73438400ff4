"""What the farm's own pages have in common: they are made on the master, from templates, and work without a script.

A page is rendered by `get`, acts by `post`, and tells what is wrong in a page of its own. What a browser is allowed to
do with one is said in its headers.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache, partial
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import quote, urlencode

import jinja2
from buildbot.www.encoding import ZstandardEncoderFactory
from buildbot.www.resource import Resource
from markupsafe import Markup, escape
from twisted.internet import defer
from twisted.web import http
from twisted.web.error import Error
from twisted.web.resource import EncodingResourceWrapper, IResource
from twisted.web.server import GzipEncoderFactory, Request

from ...errors import KmodciError, NotFound
from ...quantities import age_text, duration_text
from ...release import BadName
from ...settings import PUBLIC_FILES
from ..board import keeper_of
from ..login.rules import may_read
from ..menu import STATIC
from ..origin import header, is_own
from .cells import cells

HTML = "text/html; charset=utf-8"
_FORM = "application/x-www-form-urlencoded"
_SEEN = "seen"
"""the field of a query by which a page that is shown says which it is"""
_MARK = "0" * 32
_ENCODERS = (ZstandardEncoderFactory(), GzipEncoderFactory())
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

    is_open = False
    """also to who may not read"""

    async def get(self, request: Request) -> bytes:
        """The page. Raises NotFound, and KmodciError for what does not work just now."""
        raise NotFound("there is no such page")

    async def post(self, request: Request) -> bytes:
        """Does something, and returns `see_other` as a rule."""
        self.refuse(http.NOT_ALLOWED, "this page cannot be written to")

    def getChild(self, path: bytes, request: Request) -> IResource:
        """A slash at the end is of no consequence; anything else is not there."""
        return self if not path else Page(self.master)

    def getChildWithDefault(self, path: bytes, request: Request) -> IResource:
        """Pages are compressed as the browser takes it; what else is below one is not."""
        found = super().getChildWithDefault(path, request)
        return EncodingResourceWrapper(found, _ENCODERS) if isinstance(found, Page) else found

    def render_GET(self, request: Request) -> int:
        return self._render(request, self._checked_get)

    def render_POST(self, request: Request) -> int:
        return self._render(request, self._checked_post)

    def html(self, request: Request, template: str, *, live: str = "", **values: object) -> bytes:
        """A template, filled. In it `root` leads to the master's first page, wherever that is for this reader.

        live: where to ask for the page again, to see what has changed; see `live`.
        """
        request.setHeader("Content-Type", HTML)
        root = _root(request)
        values |= {"root": root, "static": f"{root}{STATIC}", "live": live}
        return _templates().get_template(template).render(values).encode()

    def live(self, request: Request, template: str, *, stamp: str = "", **values: object) -> bytes:
        """The same for a page that brings itself up to date.

        With a script it asks every two seconds, and without one the browser loads it again every thirty.

        stamp: what it is known by, of a page that asks before all its work whether that is shown (`seen`). Another one
        is known by what it reads like, and is answered 204, which leaves it alone, while that is the same.
        """
        if stamp:
            return self.html(request, template, live=self.again(request, stamp), **values)
        page = self.html(request, template, live=self.again(request, _MARK), **values)
        digest = hashlib.blake2b(page, digest_size=16).hexdigest()
        if self.seen(request) == digest:
            return self.unchanged(request)
        return page.replace(_MARK.encode(), digest.encode())

    def seen(self, request: Request) -> str:
        """What the page that asks is known by; empty unless it is a page that brings itself up to date."""
        return argument(request, _SEEN) if header(request, "HX-Request") else ""

    def again(self, request: Request, shown: str) -> str:
        """The query that asks for this page again. shown: what it is then known by."""
        fields = [(name, value) for name, values in (request.args or {}).items() for value in values]
        kept = [(name, value) for name, value in fields if name != _SEEN.encode()]
        return "?" + urlencode([*kept, (_SEEN.encode(), shown.encode())])

    def stamp(self) -> str:
        """What a page is known by that shows the board and what is beside it: another after ten seconds at most."""
        return f"{keeper_of(self.master).board.made:.3f}-{int(time.time()) // 10}"

    def unchanged(self, request: Request) -> bytes:
        """To who has this page already."""
        request.setResponseCode(http.NO_CONTENT)
        return b""

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

    async def assert_allowed(self, request: Request, *path: str, action: str, **options: object) -> None:
        """Asks the same rules (`authz`) as Buildbot's own control endpoints do, and refuses with 403.

        path, action, options: of what REST would be asked for.
        """
        await defer.maybeDeferred(self.master.www.assertUserAllowed, request, path, action, options)

    async def refusal_of(self, request: Request, *path: str, action: str, **options: object) -> str:
        """Why `authz` would not let who asks do this; empty if it would."""
        try:
            await self.assert_allowed(request, *path, action=action, **options)
        except Error as error:
            return (error.message or b"").decode(errors="replace") or "not allowed"
        return ""

    def _render(self, request: Request, work: Callable[[Request], Awaitable[bytes]]) -> int:
        for name, value in _HEADERS.items():
            request.setHeader(name, value)
        refusal = partial(self._write_refusal, request)
        return self.asyncRenderHelper(request, lambda it: defer.ensureDeferred(_told(work, it)), refusal)

    async def _checked_get(self, request: Request) -> bytes:
        """Who may not read may log in, and comes back here."""
        if not self.is_open and not may_read(self.master, request):
            if not self.master.www.getUserInfos(request).get("anonymous"):
                self.refuse(http.FORBIDDEN, f"{self.user(request)} may not read here: an operator gives out roles")
            here = quote(request.uri.decode(errors="replace").lstrip("/"), safe="")
            return self.see_other(request, f"auth/login?redirect={here}")
        return await self.get(request)

    async def _checked_post(self, request: Request) -> bytes:
        """A form of another site cannot press a button here: a browser says whose page a form is on."""
        if not is_own(self.master, header(request, "Origin")):
            self.refuse(http.FORBIDDEN, f"not from a page of this farm: open it as {self.base_url} and try again")
        if header(request, "Content-Type").partition(";")[0].strip().lower() != _FORM:
            self.refuse(http.UNSUPPORTED_MEDIA_TYPE, f"a form is sent as {_FORM}")
        return await self.post(request)

    def _write_refusal(self, request: Request, message: bytes, errcode: int = http.BAD_REQUEST) -> None:
        request.setResponseCode(errcode)
        meaning = HTTPStatus(errcode).phrase
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
    found.globals["files"] = PUBLIC_FILES
    found.filters["duration"] = duration_text
    found.filters["roughly"] = _roughly
    found.filters["clock"] = _clock
    found.filters["day"] = _day
    found.filters["ago"] = _ago
    found.filters["cells"] = cells
    found.filters["code"] = _code
    found.filters["part"] = _part
    found.filters["path"] = quote
    found.filters["bytes"] = _bytes
    return found


def _code(text: str) -> Markup:
    """What is between backquotes as code."""
    parts = [
        f"<code>{escape(part)}</code>" if number % 2 else escape(part) for number, part in enumerate(text.split("`"))
    ]
    return Markup("").join(map(Markup, parts))


def _part(text: object) -> str:
    """As a part of a path, or of a query."""
    return quote(str(text), safe="")


def _bytes(amount: int) -> str:
    """`4.2 KiB`, as people compare sizes."""
    size, unit = float(amount), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


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
