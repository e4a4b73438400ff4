"""How a receiver is reached, and what it answered.

Buildbot's HTTP session waits for ever, goes wherever it is redirected to, and its reporters write what went wrong into
the log, with a traceback, and tell nobody. Here a request has a limit of time, goes to the one address that is
configured, and how it ended is told, without any secret that is in it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from buildbot.interfaces import IHttpResponse
from buildbot.util.httpclientservice import HTTPSession
from pydantic import SecretStr
from twisted.internet import defer
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.mail.smtp import SMTPClientError

# Told to the reporter of a receiver, and by it; the receiver's name is the third word.
NEWS_FOR = ("kmodci", "news")
ANSWER_OF = ("kmodci", "answer")
SECONDS = 30.0
"""for one request, or one answer of an SMTP server"""
# the message itself was refused, and would be the next time
_FINAL = (400, 413, 422)
_SAID = 160
_LIMITS = {"timeout": SECONDS, "allow_redirects": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a message ended."""

    is_good: bool
    said: str
    is_final: bool = False
    """whether it would be the same the next time"""


class Refused(Exception):
    """The receiver answered with another status than 2xx."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"{code} {said}".strip())
        self.code = code


class Post:
    """A session that posts to one address, and raises Refused."""

    def __init__(self, session: HTTPSession, clock: IReactorTime, url: str = "") -> None:
        """url: what to post to where a reporter names no path; the session's own otherwise."""
        self._session, self._clock, self._url = session, clock, url
        self.said = ""

    def post(
        self, path: str, json: object = None, headers: Mapping[str, str] | None = None
    ) -> defer.Deferred[IHttpResponse]:
        """As Buildbot's reporters ask for it."""
        asked = self._session.post(path or self._url, json=json, headers=dict(headers or {}), **_LIMITS)
        return defer.ensureDeferred(self._answered(asked))

    def get(self, path: str, headers: Mapping[str, str]) -> defer.Deferred[IHttpResponse]:
        return defer.ensureDeferred(self._answered(self._session.get(path, headers=dict(headers), **_LIMITS)))

    async def _answered(self, asked: defer.Deferred[IHttpResponse]) -> IHttpResponse:
        response = await asked
        # read in any case, or its connection is never free again
        content = await response.content().addTimeout(SECONDS, self._clock)
        # Messages are minutes apart: by the next one its server may have closed a connection that was kept, and a POST
        # on such a one fails. A server of HTTP/1.0 has closed it already.
        await self._session.http._pool.closeCachedConnections()
        said = _printable(content.decode(errors="replace"))
        if response.code // 100 == 3:
            raise Refused(response.code, "it redirects to another address, which is not followed: name that one")
        if response.code // 100 != 2:
            raise Refused(response.code, said)
        self.said = f"{response.code} {said}".strip()[:_SAID]
        return response


def failed(error: Exception, secrets: Collection[SecretStr]) -> Answer:
    """What went wrong, without a secret: a server may say in its answer what it was asked."""
    said = _printable(_words(error))
    for secret in secrets:
        for part in (secret.get_secret_value(), urlsplit(secret.get_secret_value()).path):
            if len(part) > 3:
                said = said.replace(part, "...")
    is_final = isinstance(error, Refused) and error.code in _FINAL
    return Answer(is_good=False, said=said[:_SAID], is_final=is_final)


def _words(error: BaseException) -> str:
    match error:
        case SMTPClientError(code=code, resp=resp):
            # its own words have all that was said before, and so the password
            text = bytes(resp).decode(errors="replace")
            return f"{code} {text}" if code > 0 else text
        case defer.TimeoutError() | defer.CancelledError():
            return f"no answer within {SECONDS:.0f} s"
        case ConnectionLost():
            return "the connection was lost"
    reasons = getattr(error, "reasons", None)
    if reasons:
        # a request that was cut off has a list of why
        return _words(reasons[0].value)
    return str(error) or type(error).__name__


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:4000]).strip()[:1000]
