"""A file of rows that have names, for the farm's own user alone: read again when it has changed, by one writer at a
time."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import KmodciError, NotFound, StoreError
from .privatefile import alone, write_private


class Named(BaseModel):
    """A row, as it is kept."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str


Row = TypeVar("Row", bound=Named)


@dataclass(slots=True)
class RowsFile(Generic[Row]):
    """The rows of one file; there are none where there is no file. Everything may raise StoreError.

    A subclass says how they are written down: `_of` and `_as`.
    """

    kind: ClassVar[str]
    """of a row; also the command of `kmodci` that writes them"""
    verb: ClassVar[str] = "add"

    path: Path
    _known: tuple[Row, ...] = ()
    _seen: tuple[int, ...] | None = None

    def all(self) -> tuple[Row, ...]:
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

    def remove(self, name: str) -> None:
        """Raises NotFound."""

        def left(known: tuple[Row, ...]) -> tuple[Row, ...]:
            self._named(known, name)
            return tuple(row for row in known if row.name != name)

        self._change(left)

    def _add(self, row: Row, hint: str) -> None:
        """Raises KmodciError where there is one of that name. hint: what to do then."""

        def added(known: tuple[Row, ...]) -> tuple[Row, ...]:
            if any(each.name == row.name for each in known):
                raise KmodciError(f"there is a {self.kind} {row.name}", hint=hint)
            return (*known, row)

        self._change(added)

    def _change(self, change: Callable[[tuple[Row, ...]], tuple[Row, ...]]) -> None:
        """change: from what is there to what shall be."""
        with alone(self.path.parent):
            write_private(self.path, self._as(change(self._read())).model_dump_json(indent=1) + "\n")

    def _named(self, known: tuple[Row, ...], name: str) -> Row:
        """Raises NotFound."""
        for row in known:
            if row.name == name:
                return row
        names = ", ".join(row.name for row in known)
        raise NotFound(f"no {self.kind} {name[:80]!r}", hint=f"there are: {names}" if names else "there is none")

    def _read(self) -> tuple[Row, ...]:
        try:
            return self._of(self._content())
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from error
        except ValidationError:
            # without its words, which would tell what is in there
            hint = f"`kmodci {self.kind}` writes it; move it away, and {self.verb} the {self.kind}s again: {self.path}"
            raise StoreError(f"{self.path} is no file of {self.kind}s", hint=hint) from None

    def _content(self) -> bytes:
        return self.path.read_bytes()

    def _of(self, content: bytes) -> tuple[Row, ...]:
        """Raises ValidationError."""
        raise NotImplementedError

    def _as(self, rows: tuple[Row, ...]) -> BaseModel:
        raise NotImplementedError
