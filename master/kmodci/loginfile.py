"""What `login:` of kmodci.yml may say: who may read, how people say who they are, and what each of them may do."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from .fields import ConfigPath, SecretPath, Url, fitting
from .quantities import Seconds
from .yamlfile import Section

_DAY = 86_400
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_DOMAIN = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!#$%&'*+/=?^_`{|}~@-]{0,127}")
_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._/-]{0,254}")
ANONYMOUS = "anonymous"
"""what Buildbot calls who has not logged in; nobody may be called so"""


class Role(StrEnum):
    """What somebody may do. Each may do what those before it may."""

    READ = "read"
    BUILD = "build"
    OPERATE = "operate"

    @property
    def all(self) -> tuple[str, ...]:
        """It, and those before it."""
        roles = [str(each) for each in Role]
        return tuple(roles[: roles.index(self) + 1])


def _nobodys(name: str) -> str:
    if name.lower() == ANONYMOUS:
        raise ValueError(f"{ANONYMOUS} is who has not logged in: reading alone is open to that one, with read: open")
    return name


Lower = AfterValidator(str.lower)


class People(Section):
    """Who has a role: any of these."""

    users: tuple[Annotated[str, fitting(_NAME, "a user's name"), AfterValidator(_nobodys)], ...] = ()
    """as the provider or the proxy calls them; with Google, their addresses"""
    emails: tuple[Annotated[str, fitting(_EMAIL, "a mail address (name@example.org)"), Lower], ...] = ()
    domains: tuple[Annotated[str, fitting(_DOMAIN, "a domain (example.org)"), Lower], ...] = ()
    """of the mail addresses that a provider has verified"""
    groups: tuple[Annotated[str, fitting(_GROUP, "a group's name"), Lower], ...] = ()
    """GitHub: `organisation` or `organisation/team`; GitLab: the whole path of a group; a proxy: what it says"""


class _Client(Section):
    client_id: str = Field(min_length=1)
    client_secret_file: SecretPath


class GitHubAt(_Client):
    """GitHub, or a GitHub Enterprise server."""

    url: Url = ""


class GitLabAt(_Client):
    """A GitLab."""

    url: Url = "https://gitlab.com"


class GoogleAt(_Client):
    """Google."""


class ProxyAt(Section):
    """A reverse proxy (`web.proxies`) that has asked who it is. It has to remove these headers from what it is sent."""

    header: Annotated[str, fitting(_HEADER, "a header's name")] = "X-Remote-User"
    """holds a user's name or mail address"""
    groups_header: Annotated[str, fitting(_HEADER, "a header's name")] | None = None
    """holds that one's groups, with commas between them"""


class Login(Section):
    """Without `github`, `gitlab`, `google` and `proxy`: users with passwords, whom `kmodci user` writes down."""

    read: Literal["open", "login"] = "open"
    """who may read: anybody, or who has the role (or, of the HTTP API and the files, a token)"""
    session: Annotated[Seconds, Field(ge=60, le=90 * _DAY)] = _DAY // 2
    """seconds after which one has to log in again"""
    users: ConfigPath | None = None
    """the file that `kmodci user` writes; without it, `users.json` of the state folder"""
    github: GitHubAt | None = None
    gitlab: GitLabAt | None = None
    google: GoogleAt | None = None
    proxy: ProxyAt | None = None
    roles: Mapping[Role, People] = {}

    @property
    def way(self) -> str:
        """How people say who they are: `password`, or the key of the section that says so."""
        return next((name for name in _WAYS if getattr(self, name)), "password")

    @property
    def is_open(self) -> bool:
        """Whether anybody may read."""
        return self.read == "open"

    @model_validator(mode="after")
    def _one_way(self) -> "Login":
        ways = [name for name in _WAYS if getattr(self, name)]
        if len(ways) > 1:
            raise ValueError(f"people log in by one of {', '.join(ways)}: leave one of them")
        if ways and self.users:
            raise ValueError(f"users: is of passwords, and people log in by {ways[0]}")
        if not ways and self.roles:
            raise ValueError("roles: is for other ways to log in; of a user with a password, `kmodci user` says it")
        if ways and not self.roles:
            raise ValueError(f"who logs in by {ways[0]} may do nothing yet: say who may what in roles:")
        return self


_WAYS = ("github", "gitlab", "google", "proxy")
