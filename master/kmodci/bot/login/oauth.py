"""Logging in at GitHub, GitLab or Google, by Buildbot's own classes, and what these leave open.

In 4.3.0 `state` is not bound to the browser that began (RFC 6749, section 10.12), GitLab's groups are all that somebody
can see, a user of Google is called what stands before the `@`, and what answers is waited for without end.
"""

import hmac
import secrets
from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import quote

import requests
from buildbot.master import BuildMaster
from buildbot.util.twisted import async_to_deferred
from buildbot.www.auth import LoginResource
from buildbot.www.oauth2 import GitHubAuth, GitLabAuth, GoogleAuth, OAuth2Auth
from buildbot.www.resource import Redirect
from twisted.python import log
from twisted.web.error import Error
from twisted.web.resource import IResource
from twisted.web.server import Request

from ...loginfile import GitHubAt, GitLabAt, GoogleAt
from ...secretfile import read_secret
from ..pages.base import argument
from .landing import landing
from .rules import WAY

Json: TypeAlias = Any
"""what a provider answers: whatever it likes"""
_TIMEOUT = 30
"""seconds"""
_STATE = "kmodci_login"
_STATE_LASTS = 600
_MOST_PAGES = 50
# What goes wrong between what a provider says and what it is believed to say.
_ODD = (requests.RequestException, Error, KeyError, ValueError, TypeError, AttributeError)


class _Provider(OAuth2Auth):
    """What is the same with all of them. Subclasses say `way`."""

    way = ""
    groups: Collection[str] = ()
    """the groups that matter here; others are forgotten, for a cookie holds 4,096 bytes (RFC 6265)"""

    def getLoginResource(self) -> IResource:
        return _SignIn(self.master, self)

    def createSessionFromToken(self, token: Mapping[str, str]) -> requests.Session:
        """Its own puts the token into URLs, which errors quote."""
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token['access_token']}"
        session.headers["Accept"] = "application/json"
        return session

    def get(self, session: requests.Session, path: str) -> Json:
        answer = session.get(self.resourceEndpoint + path, timeout=_TIMEOUT)
        answer.raise_for_status()
        return answer.json()

    def getUserInfoFromOAuthClient(self, c: requests.Session) -> dict[str, object]:
        """In a thread."""
        return self.told(super().getUserInfoFromOAuthClient(c))

    def told(self, info: Mapping[str, Any]) -> dict[str, object]:
        """What a session keeps of it. An owner is known by `email`, so there is always one."""
        name = str(info["username"])
        groups = [group for group in map(str.lower, info.get("groups", ())) if group in self.groups]
        return {
            "username": name,
            "full_name": str(info.get("full_name") or name)[:100],
            "email": str(info.get("email") or name).lower(),
            "groups": sorted(groups),
            WAY: self.way,
        }


class GitHub(_Provider, GitHubAuth):
    """Of organisations, and, where a group is named as `organisation/team`, of teams too."""

    way = "github"

    def get(self, session: requests.Session, path: str) -> Json:
        found = super().get(session, path)
        if path == "/user/emails":
            # the one that counts is the primary one, and anybody may write anything there before it is verified
            return [email for email in found if email.get("verified")]
        if path == "/user":
            return {**found, "email": ""}
        return found

    def post(self, session: requests.Session, query: str) -> Json:
        answer = session.post(self.apiResourceEndpoint, json={"query": query}, timeout=_TIMEOUT)
        answer.raise_for_status()
        return answer.json()


class GitLab(_Provider, GitLabAuth):
    """Of groups that somebody is a member of, by their whole path."""

    way = "gitlab"
    authUriAdditionalParams: Mapping[str, str] = {"scope": "read_api"}

    def getUserInfoFromOAuthClient(self, c: requests.Session) -> dict[str, object]:
        user, groups = self.get(c, "/user"), []
        for page in range(1, _MOST_PAGES + 1) if self.groups else ():
            found = self.get(c, f"/groups?min_access_level=10&per_page=100&page={page}")
            groups += [group["full_path"] for group in found]
            if len(found) < 100:
                break
        # an address that is not confirmed may be anybody's (`confirmed_at`, Users API)
        email = user["email"] if user.get("confirmed_at") else ""
        return self.told({"username": user["username"], "full_name": user["name"], "email": email, "groups": groups})


class Google(_Provider, GoogleAuth):
    """Users are called by their whole address: what stands before the `@` is no name."""

    way = "google"

    def getUserInfoFromOAuthClient(self, c: requests.Session) -> dict[str, object]:
        user = self.get(c, "/userinfo")
        if not user.get("verified_email"):
            raise ValueError("the address is not verified")
        return self.told({"username": user["email"].lower(), "full_name": user.get("name"), "email": user["email"]})


class _SignIn(LoginResource):
    """/auth/login: the way there, and the way back."""

    def __init__(self, master: BuildMaster, auth: _Provider) -> None:
        super().__init__(master)
        self._auth = auth

    @async_to_deferred
    async def renderLogin(self, request: Request) -> None:
        if b"error" in request.args:
            raise Error(HTTPStatus.FORBIDDEN, f"{self._auth.name} says: {argument(request, 'error')[:80]!r}".encode())
        code = argument(request, "code")
        if not code:
            raise Redirect(await self._begin(request))
        wanted = self._wanted(request)
        try:
            info = await self._auth.verifyCode(code)
        except _ODD as error:
            log.msg(f"{self._auth.name} did not say who logs in: {type(error).__name__}")
            why = f"{self._auth.name} did not say who you are: try again"
            raise Error(HTTPStatus.BAD_GATEWAY, why.encode()) from None
        session = request.getSession()
        session.user_info = info
        session.updateSession(request)
        log.msg(f"{info['username']!r} logs in by {self._auth.way}")
        raise Redirect(f"{self.master.config.buildbotURL}{landing(wanted)}")

    async def _begin(self, request: Request) -> str:
        """What comes back has to show the number that only this browser has."""
        number = secrets.token_urlsafe(24)
        request.addCookie(_STATE, number, path="/", max_age=str(_STATE_LASTS))
        state = f"{number} {argument(request, 'redirect')[:500]}"
        address = await self._auth.getLoginURL(None)
        return f"{address}&state={quote(state, safe='')}"

    def _wanted(self, request: Request) -> str:
        number, _, wanted = argument(request, "state").partition(" ")
        known = (request.getCookie(_STATE.encode()) or b"").decode(errors="replace")
        request.addCookie(_STATE, "", path="/", max_age="0")
        if not known or not hmac.compare_digest(known.encode(), number.encode()):
            raise Error(HTTPStatus.FORBIDDEN, b"this browser has not begun to log in here: begin again")
        return wanted


def provider(at: GitHubAt | GitLabAt | GoogleAt, groups: Sequence[str]) -> _Provider:
    """groups: those that have a role. Raises SecretUnusable."""
    secret = read_secret(at.client_secret_file)
    made: _Provider
    match at:
        case GitHubAt():
            teams = any("/" in group for group in groups)
            version = {"apiVersion": 4, "getTeamsMembership": True} if teams else {}
            made = GitHub(at.client_id, secret, serverURL=at.url or None, **version)
        case GitLabAt():
            made = GitLab(at.url, at.client_id, secret)
        case GoogleAt():
            made = Google(at.client_id, secret)
    made.groups = frozenset(groups)
    return made
