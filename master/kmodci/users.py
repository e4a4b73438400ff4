"""Who may log in with a password: users, of whose passwords the farm keeps hashes, in a file of its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import KmodciError, NotFound, StoreError
from .loginfile import ANONYMOUS, Role
from .passwords import fingerprint, fits, generated, hashed
from .privatefile import alone, write_private
from .release import BadName, check_name
from .secretfile import check_private

FIRST = "kmodci"
"""what the user is called that a new farm has"""


class User(BaseModel):
    """As it is kept."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    role: Role
    password: str
    """its hash (`passwords`)"""
    changed: float
    """when it was given; seconds since the epoch"""

    @property
    def mark(self) -> str:
        """Of this password: sessions that were begun with another are over."""
        return fingerprint(self.password)


class _File(BaseModel):
    users: tuple[User, ...] = ()


@dataclass(slots=True)
class Users:
    """Those of one file; read again when it has changed. Everything may raise StoreError and SecretUnusable."""

    path: Path
    _known: tuple[User, ...] = ()
    _seen: tuple[int, ...] | None = field(default=None)

    def find(self, name: str) -> User | None:
        return next((user for user in self.all() if user.name == name), None)

    def login(self, name: str, password: str) -> User | None:
        """Who that is, if both are right. Slow, and as slow where there is no such user: in a thread."""
        user = self.find(name)
        return user if fits(password, user.password if user else None) else None

    def all(self) -> tuple[User, ...]:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            self._known, self._seen = (), None
            return ()
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from error
        seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size, stat.st_mode)
        if seen != self._seen:
            self._known = self._read()
            self._seen = seen
        return self._known

    def add(self, name: str, role: Role, password: str) -> None:
        """Raises BadName, Unfit, and KmodciError if there is one of that name."""
        if check_name(name, "user's name") == ANONYMOUS:
            raise BadName(f"{ANONYMOUS} is who has not logged in", hint="take another name")
        user = User(name=name, role=role, password=hashed(password), changed=time.time())

        def added(known: tuple[User, ...]) -> tuple[User, ...]:
            if any(each.name == name for each in known):
                hint = f"`kmodci user password {name}` gives that one another password"
                raise KmodciError(f"there is a user {name}", hint=hint)
            return (*known, user)

        self._change(added)

    def set_password(self, name: str, password: str) -> None:
        """Ends the user's sessions. Raises NotFound and Unfit."""
        changed = {"password": hashed(password), "changed": time.time()}
        self._change(lambda known: _with(known, name, changed))

    def set_role(self, name: str, role: Role) -> None:
        """Raises NotFound."""
        self._change(lambda known: _with(known, name, {"role": role}))

    def remove(self, name: str) -> None:
        """Ends the user's sessions. Raises NotFound."""
        self._change(lambda known: tuple(user for user in _with(known, name, {}) if user.name != name))

    def get(self, name: str) -> User:
        """Raises NotFound."""
        [found] = [user for user in _with(self.all(), name, {}) if user.name == name]
        return found

    def _change(self, change: Callable[[tuple[User, ...]], tuple[User, ...]]) -> None:
        with alone(self.path.parent):
            users = change(self._read())
            write_private(self.path, _File(users=users).model_dump_json(indent=1) + "\n")

    def _read(self) -> tuple[User, ...]:
        try:
            check_private(self.path)
            return _File.model_validate_json(self.path.read_bytes()).users
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from error
        except ValidationError:
            # without its words, which would tell what is in there
            hint = f"`kmodci user` writes it; move it away, and add the users again: {self.path}"
            raise StoreError(f"{self.path} is no file of users", hint=hint) from None


def first_user(users: Users, place: Path) -> bool:
    """Makes the user of a farm that has no file of users yet. place: where its password goes. Returns whether it did.

    The password is written first: if what follows fails, it is made anew the next time.
    """
    if users.path.exists():
        return False
    password = generated()
    with alone(place.parent):
        write_private(place, f"{password}\n")
    users.add(FIRST, Role.OPERATE, password)
    return True


def _with(known: tuple[User, ...], name: str, changed: dict[str, object]) -> tuple[User, ...]:
    if not any(user.name == name for user in known):
        names = ", ".join(user.name for user in known)
        raise NotFound(f"no user {name[:80]!r}", hint=f"there are: {names}" if names else "there is none")
    return tuple(user.model_copy(update=changed) if user.name == name else user for user in known)
