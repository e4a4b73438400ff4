"""Buildbot's own interface: its page, what the page opens, and what it shows of people; told what it may do."""

import secrets
from typing import Any

from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from buildbot.util.twisted import async_to_deferred
from buildbot.www import config as wwwconfig
from buildbot.www import ws
from buildbot.www.avatar import AvatarBase
from buildbot.www.resource import Redirect
from twisted.internet import defer
from twisted.web.server import Request

from .login.rules import may_read
from .origin import is_own

# Its scripts are files, but for one, which is the configuration; its styles are partly written into elements.
_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; frame-src 'self'; manifest-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'self'"
)
_CONFIG = b'<script id="bb-config">'
_FACE = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" fill="#8795b8"/>'
    b'<circle cx="16" cy="12" r="6" fill="#fff"/><path d="M4 32a12 12 0 0 1 24 0" fill="#fff"/></svg>'
)


class FrontPage(wwwconfig.IndexResource):
    """The page that the interface is made in."""

    @async_to_deferred
    async def renderIndex(self, request: Request) -> bytes:
        if not may_read(self.master, request) and self.master.www.getUserInfos(request).get("anonymous"):
            raise Redirect(f"{self.base_url}auth/login")
        page: bytes = await super().renderIndex(request)
        nonce = secrets.token_urlsafe(16)
        request.setHeader("Content-Security-Policy", _POLICY.format(nonce=nonce))
        request.setHeader("Cache-Control", "no-store")
        return page.replace(_CONFIG, _CONFIG.replace(b">", f' nonce="{nonce}">'.encode()), 1)


class OwnPagesOnly(ws.WsProtocol):
    """A socket is no request that a browser keeps from other sites' pages: they say where they are from."""

    @async_to_deferred
    async def onConnect(self, request: ConnectionRequest) -> None:
        if request.origin and not is_own(self.master, request.origin):
            raise ConnectionDeny(403, "Forbidden")
        await super().onConnect(request)


class NoAvatar(AvatarBase):
    """The same face for all. Buildbot asks gravatar.com for one, and remembers each answer for ever."""

    def getUserAvatar(
        self, email: bytes, username: bytes | None, size: int, defaultAvatarUrl: str
    ) -> defer.Deferred[tuple[bytes, bytes]]:
        return defer.succeed((b"image/svg+xml", _FACE))


def guard_interface() -> None:
    """Before the site is made."""
    wwwconfig.IndexResource = FrontPage
    wwwconfig.serialize_www_frontend_config_dict_to_json = _serialized
    ws.WsProtocol = OwnPagesOnly


_original = wwwconfig.serialize_www_frontend_config_dict_to_json


def _serialized(config: dict[str, Any]) -> str:
    """It is written into a page, and holds names that people gave themselves."""
    return str(_original(config)).replace("<", "\\u003c")
