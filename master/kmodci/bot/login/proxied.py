"""Whom a reverse proxy has asked who they are.

Buildbot's RemoteUserAuth believes the header of anybody, once for a whole session; here it is believed from
`web.proxies` only, and looked at with each request.
"""

import ipaddress
import re

from buildbot.www.auth import AuthBase, build_anonymous_user_info
from twisted.internet import defer
from twisted.web.pages import forbidden
from twisted.web.resource import IResource
from twisted.web.server import Request

from ...loginfile import ANONYMOUS, ProxyAt
from ...settings import Settings
from ..origin import header
from .rules import WAY, UserInfo

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!#$%&'*+/=?^_`{|}~@-]{0,127}")
_MOST = 200


class ProxyAuth(AuthBase):
    """Nobody logs in here."""

    def __init__(self, settings: Settings, at: ProxyAt) -> None:
        super().__init__()
        self._at, self._proxies = at, settings.web.proxies
        roles = settings.login.roles.values()
        self._groups = frozenset(group for people in roles for group in people.groups)

    def user_of(self, request: Request) -> UserInfo:
        """Who asks, or nobody: a header of somebody else is none."""
        name = header(request, self._at.header)
        if not self._is_trusted(request) or not _NAME.fullmatch(name) or name.lower() == ANONYMOUS:
            return build_anonymous_user_info()
        listed = ""
        if self._at.groups_header:
            # groups may have any names, and these are UTF-8
            listed = header(request, self._at.groups_header).encode("latin-1").decode(errors="replace")
        groups = {group.strip().lower() for group in listed.split(",", _MOST)} & self._groups
        return {"username": name, "email": name.lower(), "groups": sorted(groups), WAY: "proxy"}

    def getLoginResource(self) -> IResource:
        return forbidden(message="the reverse proxy before this farm asks who you are")

    def maybeAutoLogin(self, request: Request) -> defer.Deferred[None]:
        """The interface is about to open its socket, which knows the cookie alone."""
        request.getSession().updateSession(request)
        return defer.succeed(None)

    def _is_trusted(self, request: Request) -> bool:
        try:
            # the peer itself, whatever it says it asks for
            peer = ipaddress.ip_address(request.getClientAddress().host)
        except ValueError:
            return False
        peer = (peer.version == 6 and peer.ipv4_mapped) or peer
        return any(peer in network for network in self._proxies)
