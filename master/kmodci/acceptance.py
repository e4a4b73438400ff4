"""What a person accepts of a repository that is in doubt: a note in the state folder, which the master reads.

The web interface and the command line write the same note. It is no row of the database, because that has one writer,
the master, which need not be running when somebody accepts something. A note is of one doubt and of no later one, so it
need not be removed: what it was about is over once the repository is taken at its word.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from .doubt import Doubt
from .errors import StoreError
from .manifest import Record


class Acceptance(Record):
    """Who accepted what, and when."""

    source: str
    """the repository's name"""
    digest: str
    """of the doubt"""
    since: float
    """when that began, in seconds since the epoch: it may be the same once more, later"""
    by: str
    at: float
    """seconds since the epoch"""

    def is_of(self, doubt: Doubt) -> bool:
        return (self.digest, self.since) == (doubt.digest, doubt.since)


@dataclass(frozen=True, slots=True)
class Acceptances:
    """The last one of each repository. Everything raises StoreError."""

    folder: Path

    def find(self, source: str, doubt: Doubt | None) -> Acceptance | None:
        """Who accepts what a repository says now; None if nobody does."""
        if doubt is None:
            return None
        path = self._path(source)
        try:
            found = Acceptance.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as fault:
            raise StoreError(f"{path}: {fault}", hint="delete it, and accept again what it was about") from fault
        return found if found.source == source and found.is_of(doubt) else None

    def put(self, source: str, doubt: Doubt, *, by: str, at: float) -> None:
        """at: seconds since the epoch."""
        note = Acceptance(source=source, digest=doubt.digest, since=doubt.since, by=by, at=at)
        try:
            self.folder.mkdir(exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=".part", delete=False) as file:
                file.write(note.model_dump_json(indent=1) + "\n")
            # the master may be another user than who types the command
            Path(file.name).chmod(0o644)
            Path(file.name).replace(self._path(source))
        except OSError as fault:
            raise StoreError(f"{self.folder}: {fault}", hint="say it as the user that the farm runs as") from fault

    def _path(self, source: str) -> Path:
        """A name in targets.yml may hold a slash or a space."""
        return self.folder / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.json"
