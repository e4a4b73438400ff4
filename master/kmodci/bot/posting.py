"""How a receiver is reached, and what it answered.

Buildbot's HTTP session waits for ever, goes wherever it is redirected to, and its reporters write what went wrong into
the log, with a traceback, and tell nobody. Here a request has a limit of time, goes to the one address that is
configured, and how it ended is told, without any secret that is in it.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlsplit

from buildbot.interfaces import IHttpResponse
from buildbot.util.httpclientservice import HTTPSession
from pydantic import SecretStr
from twisted.internet import defer
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.mail.smtp import SMTPClientError, SMTPDeliveryError

SECONDS = 30.0
"""for one request, or one answer of an SMTP server"""
# the message itself was refused, and would be the next time
FINAL = frozenset((400, 413, 422))
# of a message that is about one of many repositories: that one is away, moved, or not for this token
FINAL_OF_ONE = FINAL | {301, 302, 307, 308, 403, 404, 410, 451}
# also with 403 (https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api)
_LIMITED = re.compile("rate limit|abuse detection", re.IGNORECASE)
# the server does not know who sends, which is no fault of the message (RFC 4954)
_WHO_SENDS = frozenset((530, 534, 535, 538))
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
        self.is_limited = code in (403, 429) and bool(_LIMITED.search(said))
        """whether the same is taken later"""


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


def failed(error: Exception, secrets: Collection[SecretStr], final: Collection[int] = FINAL) -> Answer:
    """What went wrong, without a secret: a server may say in its answer what it was asked.

    final: the statuses of HTTP that are for good.
    """
    said = _printable(_words(error))
    parts = {part for secret in secrets for part in _parts(secret.get_secret_value()) if len(part) > 3}
    # the longest first, or what is left of it is not found any more
    for part in sorted(parts, key=len, reverse=True):
        said = said.replace(part, "...")
    return Answer(is_good=False, said=said[:_SAID], is_final=_is_final(error, final))


def _is_final(error: Exception, final: Collection[int]) -> bool:
    match error:
        case Refused():
            return error.code in final and not error.is_limited
        case SMTPDeliveryError(code=code):
            return code >= 500 and code not in _WHO_SENDS
    return False


def _parts(secret: str) -> Iterator[str]:
    """What a server may name of a secret; of an address that is one, what it was asked for."""
    asked = urlsplit(secret)
    yield from (secret, asked.path, asked.path.strip("/"), asked.query, unquote_plus(asked.query))
    for value in re.split("[&=]", asked.query):
        yield from (value, unquote_plus(value))


def _words(error: BaseException) -> str:
    match error:
        case SMTPDeliveryError(addresses=[(_, code, resp)]) if code >= 400:
            # it was refused for who it is to; Twisted's own words do not say why
            return f"{code} {bytes(resp).decode(errors='replace')}"
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
