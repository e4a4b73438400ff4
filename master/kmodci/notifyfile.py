"""What `notify:` of kmodci.yml may say: who is told what became of runs, and how."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from .fields import NOT_EMPTY, SecretPath, Url, fitting
from .yamlfile import Section

# Buildbot's MailNotifier takes no address without a dot in its domain
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9a-fA-F:]{2,39}")
_CONTEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/+-]{0,99}")
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]+){3}|::1")
_KINDS = ("webhook", "mail", "github")
_GITHUB_API = "https://api.github.com"


Address = Annotated[str, fitting(_ADDRESS, "a mail address (name@example.org)")]


class WebhookAt(Section):
    """An address that messages are posted to."""

    url: Url = ""
    url_file: SecretPath | None = None
    """holds the address, where that is a secret by itself, as Slack's are"""
    token_file: SecretPath | None = None
    """sent as `Authorization: Bearer ...`"""
    format: Literal["json", "slack", "discord"] = "json"

    @model_validator(mode="after")
    def _one_address(self) -> "WebhookAt":
        if bool(self.url) == bool(self.url_file):
            raise ValueError("needs either url: or, where the address is a secret, url_file:")
        return self


class MailAt(Section):
    """Mail by way of an SMTP server."""

    to: Annotated[
        tuple[Address, ...], NOT_EMPTY, BeforeValidator(lambda data: [data] if isinstance(data, str) else data)
    ]
    sender: Address = Field(alias="from")
    server: Annotated[str, fitting(_HOST, "a host's name or address")] = "localhost"
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """25, or 465 for smtps, or 587 for a server that wants to know who sends"""
    tls: Literal["none", "starttls", "smtps"] | None = None
    """starttls as a rule, none for a server of this machine"""
    user: str = Field(default="", max_length=200)
    password_file: SecretPath | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> "MailAt":
        if bool(self.user) != bool(self.password_file):
            raise ValueError("user: and password_file: go together")
        if self.user and self.security == "none" and not self.is_here:
            raise ValueError("a password would cross the network in the clear: say tls: starttls or smtps")
        return self

    @property
    def is_here(self) -> bool:
        """Whether the server is this machine."""
        return bool(_LOOPBACK.fullmatch(self.server))

    @property
    def security(self) -> Literal["none", "starttls", "smtps"]:
        """What is done about TLS."""
        return self.tls or ("none" if self.is_here else "starttls")

    @property
    def port_used(self) -> int:
        return self.port or (465 if self.security == "smtps" else 587 if self.user else 25)


class GitHubAt(Section):
    """The status of the commits that modules are built from."""

    token_file: SecretPath
    context: Annotated[str, fitting(_CONTEXT, "a context (kmodci)")] = "kmodci"
    """what the status is called, before `/<module>`"""
    base_url: Url = _GITHUB_API
    """of the API: another one for GitHub Enterprise (https://github.example.com/api/v3)"""

    @property
    def host(self) -> str:
        """What the URLs of its repositories name."""
        return "github.com" if self.base_url == _GITHUB_API else urlsplit(self.base_url).hostname or ""


class Receiver(Section):
    """One who is told."""

    webhook: WebhookAt | None = None
    mail: MailAt | None = None
    github: GitHubAt | None = None
    on: Annotated[tuple[Literal["runs", "failures"], ...], NOT_EMPTY] = ("runs", "failures")
    """of what: each run that has ended, each group of failures that is new. GitHub has commits only."""
    forced: bool = False
    """of runs, too, that somebody asked for by hand, and so looks at"""

    @model_validator(mode="after")
    def _one_of_them(self) -> "Receiver":
        named = [name for name in _KINDS if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError("should have exactly one of webhook:, mail:, github:")
        if self.github and self.model_fields_set & {"on", "forced"}:
            raise ValueError("github: tells how each module's commit stands, so on: and forced: mean nothing here")
        return self

    @property
    def kind(self) -> str:
        """`webhook`, `mail` or `github`."""
        return next(name for name in _KINDS if getattr(self, name) is not None)


def addressees(receivers: Mapping[str, Receiver]) -> dict[str, Receiver]:
    """Receivers as they are told: one with mail has each of its addresses by itself, as `list to ann@example.org`.

    What a mail server takes for one, it may refuse for another, or for now.
    """
    found: dict[str, Receiver] = {}
    for name, each in receivers.items():
        if each.mail:
            for address in each.mail.to:
                one = each.mail.model_copy(update={"to": (address,)})
                found[f"{name} to {address}"] = each.model_copy(update={"mail": one})
        else:
            found[name] = each
    return found
