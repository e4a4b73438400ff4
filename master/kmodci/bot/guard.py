"""What every request to the web server passes: by which name it comes, who is behind it, what is said of the answer.

Buildbot 4.3.0 sets no such header, and no flag of a cookie.
"""

from urllib.parse import unquote_to_bytes, urlsplit

from buildbot.www.service import BuildbotSession, BuildbotSite
from twisted.web import http
from twisted.web.server import Request

from ..apianswers import ErrorAnswer, ErrorTold
from ..schema import Web
from .api.base import BODY_LIMIT as API_LIMIT
from .api.base import json_of
from .login.proxied import ProxyAuth
from .origin import header

BODY_LIMIT = 32 << 20
"""bytes: GitHub's hooks send up to 25 MB; the API takes much less"""
_TOO_LONG = json_of(ErrorAnswer(error=ErrorTold(message=f"a body has at most {API_LIMIT} bytes")), exclude_none=True)
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS = {
    # of what is no page: data, which runs nothing even where somebody opens it by itself. Pages say more.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'self'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    # with none at all, a form's Origin would be "null"
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_YEAR = 31_536_000


class GuardedRequest(Request):
    """Of any farm; `guard` makes it one's own."""

    is_secure_outside = False
    names: frozenset[str] = frozenset()
    """what the farm is called; empty: by any name"""
    cookies: list[bytes]
    _has = 0
    _is_for_api = False

    def process(self) -> None:
        for name, value in _HEADERS.items():
            self.setHeader(name, value)
        if self.is_secure_outside:
            self.setHeader("Strict-Transport-Security", f"max-age={_YEAR}")
        if self.names and self._asked_for() not in self.names:
            # a name of somebody else's that leads here is how a page of theirs reads what is on loopback
            self.setResponseCode(http.FORBIDDEN)
            self.setHeader("Content-Type", "text/plain; charset=utf-8")
            self.write(b"this farm is not called so: it is for this machine, or for who comes by web.url\n")
            self.finish()
            return
        super().process()

    def getSession(self, *arguments: object, **named: object) -> BuildbotSession:
        """Who a proxy says it is, is who it is, whatever a cookie says."""
        session = super().getSession(*arguments, **named)
        auth = self.site.master.www.auth
        if isinstance(auth, ProxyAuth):
            session.user_info = auth.user_of(self)
        return session

    def addCookie(self, k: bytes | str, v: bytes | str, **flags: object) -> None:
        """No script reads it, no other site's page sends it along. One of a name."""
        start = (k if isinstance(k, bytes) else k.encode()) + b"="
        self.cookies = [cookie for cookie in self.cookies if not cookie.startswith(start)]
        flags |= {"httpOnly": True, "sameSite": "lax", "secure": self.is_secure_outside}
        super().addCookie(k, v, **flags)

    def gotLength(self, length: int | None) -> None:
        """Answers 413 to a body that is too long as soon as it is known to be, and reads no more of it."""
        super().gotLength(length)
        # `path` is set when the request has ended
        self._is_for_api = _is_of_api(self.channel._path)
        if length and length > self._most:
            self._refuse()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if _is_of_api(path):
            # no form is taken there, and to find out that it is none takes as long as all the rest of an answer
            self._parsePOSTFormSubmission = False
        super().requestReceived(command, path, version)

    def handleContentChunk(self, data: bytes) -> None:
        self._has += len(data)
        if self._has <= self._most:
            super().handleContentChunk(data)
        else:
            # of a chunked one
            self._refuse()

    @property
    def _most(self) -> int:
        return API_LIMIT if self._is_for_api else BODY_LIMIT

    def _refuse(self) -> None:
        if self.channel is not None:
            body = _TOO_LONG if self._is_for_api else b""
            self.channel.transport.write(
                b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)
            )
            self.channel.loseConnection()

    def _asked_for(self) -> str:
        try:
            return urlsplit(f"//{header(self, 'Host')}").hostname or ""
        except ValueError:
            return ""


def _is_of_api(path: bytes) -> bool:
    """However it is written: Twisted takes `%61pi` for `api` as well."""
    return unquote_to_bytes(path).startswith(b"/api/kmodci/")


def guard(web: Web) -> None:
    """From now on, of each new connection."""
    outside = urlsplit(web.address)
    names = _LOCAL | {web.host, outside.hostname or ""} if web.is_local else frozenset()
    made = type("Guarded", (GuardedRequest,), {"is_secure_outside": outside.scheme == "https", "names": names})
    BuildbotSite.requestFactory = made
