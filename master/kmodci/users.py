"""Who may log in with a password: users, of whose passwords the farm keeps hashes, in a file of its own."""

import time
from pathlib import Path

from pydantic import BaseModel

from .loginfile import ANONYMOUS, Role
from .passwords import fingerprint, fits, generated, hashed
from .privatefile import alone, write_private
from .release import BadName, check_name
from .rowsfile import Named, RowsFile
from .secretfile import check_private

FIRST = "kmodci"
"""what the user is called that a new farm has"""


class User(Named):
    """As it is kept."""

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


class Users(RowsFile[User]):
    """Those of one file. Everything may raise StoreError and SecretUnusable. Who is removed has no session any more."""

    kind = "user"

    def find(self, name: str) -> User | None:
        return next((user for user in self.all() if user.name == name), None)

    def login(self, name: str, password: str) -> User | None:
        """Who that is, if both are right. Slow, and as slow where there is no such user: in a thread."""
        user = self.find(name)
        return user if fits(password, user.password if user else None) else None

    def add(self, name: str, role: Role, password: str) -> None:
        """Raises BadName, Unfit, and KmodciError if there is one of that name."""
        if check_name(name, "user's name") == ANONYMOUS:
            raise BadName(f"{ANONYMOUS} is who has not logged in", hint="take another name")
        user = User(name=name, role=role, password=hashed(password), changed=time.time())
        self._add(user, f"`kmodci user password {name}` gives that one another password")

    def set_password(self, name: str, password: str) -> None:
        """Ends the user's sessions. Raises NotFound and Unfit."""
        self._update(name, {"password": hashed(password), "changed": time.time()})

    def set_role(self, name: str, role: Role) -> None:
        """Raises NotFound."""
        self._update(name, {"role": role})

    def get(self, name: str) -> User:
        """Raises NotFound."""
        return self._named(self.all(), name)

    def _update(self, name: str, changed: dict[str, object]) -> None:
        def updated(known: tuple[User, ...]) -> tuple[User, ...]:
            self._named(known, name)
            return tuple(user.model_copy(update=changed) if user.name == name else user for user in known)

        self._change(updated)

    def _content(self) -> bytes:
        check_private(self.path)
        return super()._content()

    def _of(self, content: bytes) -> tuple[User, ...]:
        return _File.model_validate_json(content).users

    def _as(self, rows: tuple[User, ...]) -> BaseModel:
        return _File(users=rows)


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
