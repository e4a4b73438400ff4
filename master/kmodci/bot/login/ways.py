"""How people log in, of what there is."""

from buildbot.www.auth import AuthBase

from ...settings import Settings
from ...users import Users
from .oauth import provider
from .proxied import ProxyAuth
from .signin import PasswordAuth


def auth_of(settings: Settings, users: Users) -> AuthBase:
    """What `login:` says. Raises SecretUnusable."""
    login = settings.login
    if login.proxy:
        return ProxyAuth(settings, login.proxy)
    if at := login.github or login.gitlab or login.google:
        return provider(at, [group for people in login.roles.values() for group in people.groups])
    return PasswordAuth(settings, users)
