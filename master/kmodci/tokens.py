"""Who may ask the HTTP API for builds: tokens, of which the farm keeps hashes, in a file of its own.

A token is 256 random bits, so a fast hash will do: there is nothing to guess. It is shown when it is made, and
never again.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import KmodciError, NotFound, StoreError
from .privatefile import alone, write_private
from .release import check_name

PREFIX = "kmodci_"
"""what each begins with, so that who finds one lying about knows what it is"""
_LONGEST = 200


class May(StrEnum):
    """What one is good for; who may build may read."""

    BUILD = "build"
    READ = "read"


class Token(BaseModel):
    """As it is kept."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    sha256: str
    may: May
    created: float
    """seconds since the epoch"""


class _File(BaseModel):
    tokens: tuple[Token, ...] = ()


@dataclass(slots=True)
class Tokens:
    """Those of one file; read again when it has changed. Everything may raise StoreError."""

    path: Path
    _known: tuple[Token, ...] = ()
    _seen: tuple[int, int, int] | None = field(default=None)

    def find(self, secret: str) -> Token | None:
        """The one that somebody has shown, if it is one. Takes as long for a wrong one as for a right one."""
        digest, found = _digest(secret[:_LONGEST]), None
        for token in self.all():
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found

    def all(self) -> tuple[Token, ...]:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            self._known, self._seen = (), None
            return ()
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from error
        seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if seen != self._seen:
            self._known = self._read()
            self._seen = seen
        return self._known

    def add(self, name: str, may: May, now: float) -> str:
        """Makes one, and returns it. now: seconds since the epoch. Raises BadName, and KmodciError if there is one."""
        check_name(name, "token's name")
        secret = PREFIX + secrets.token_urlsafe(32)
        with alone(self.path.parent):
            known = self._read()
            if any(token.name == name for token in known):
                raise KmodciError(f"there is a token {name}", hint=f"`kmodci token remove {name}` removes it")
            self._write((*known, Token(name=name, sha256=_digest(secret), may=may, created=now)))
        return secret

    def remove(self, name: str) -> None:
        """Raises NotFound."""
        with alone(self.path.parent):
            known = self._read()
            left = tuple(token for token in known if token.name != name)
            if left == known:
                names = ", ".join(token.name for token in known)
                raise NotFound(f"no token {name[:80]!r}", hint=f"there are: {names}" if names else "there is none")
            self._write(left)

    def _read(self) -> tuple[Token, ...]:
        try:
            return _File.model_validate_json(self.path.read_bytes()).tokens
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from error
        except ValidationError:
            # without its words, which would tell what is in there
            hint = f"`kmodci token` writes it; move it away, and make the tokens again: {self.path}"
            raise StoreError(f"{self.path} is no file of tokens", hint=hint) from None

    def _write(self, tokens: tuple[Token, ...]) -> None:
        content = _File(tokens=tokens).model_dump_json(indent=1) + "\n"
        write_private(self.path, content)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
