"""Who may ask the HTTP API for builds: tokens, of which the farm keeps hashes, in a file of its own.

A token is 256 random bits, so a fast hash will do: there is nothing to guess. It is shown when it is made, and
never again.
"""

import hashlib
import hmac
import secrets
from enum import StrEnum

from pydantic import BaseModel

from .release import check_name
from .rowsfile import Named, RowsFile

PREFIX = "kmodci_"
"""what each begins with, so that who finds one lying about knows what it is"""
_LONGEST = 200


class May(StrEnum):
    """What one is good for; who may build may read."""

    BUILD = "build"
    READ = "read"


class Token(Named):
    """As it is kept."""

    sha256: str
    may: May
    created: float
    """seconds since the epoch"""


class _File(BaseModel):
    tokens: tuple[Token, ...] = ()


class Tokens(RowsFile[Token]):
    """Those of one file. Everything may raise StoreError."""

    kind, verb = "token", "make"

    def find(self, secret: str) -> Token | None:
        """The one that somebody has shown, if it is one. Takes as long for a wrong one as for a right one."""
        digest, found = _digest(secret[:_LONGEST]), None
        for token in self.all():
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found

    def add(self, name: str, may: May, now: float) -> str:
        """Makes one, and returns it. now: seconds since the epoch. Raises BadName, and KmodciError if there is one."""
        check_name(name, "token's name")
        secret = PREFIX + secrets.token_urlsafe(32)
        token = Token(name=name, sha256=_digest(secret), may=may, created=now)
        self._add(token, f"`kmodci token remove {name}` removes it")
        return secret

    def _of(self, content: bytes) -> tuple[Token, ...]:
        return _File.model_validate_json(content).tokens

    def _as(self, rows: tuple[Token, ...]) -> BaseModel:
        return _File(tokens=rows)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
