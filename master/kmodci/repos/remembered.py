"""What an index has read once and need not read again, because it cannot change: a day that is over, a finished build.

So an index that has a long history asks for what is new of it only, and still answers with all of it: the same, byte
for byte, as if it had read everything now. Everything here can be lost, and is read again.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from kmodci.tarzst import replacing

from .base import Scan

# changes whenever what is read of the same thing changes
_READING = "1"
_SCAN = TypeAdapter(Scan)


@dataclass(frozen=True, slots=True)
class Remembered:
    """Packages by what listed them, a small file each; may be used by several processes."""

    folder: Path
    """made with the first file"""

    def get(self, *of: str) -> Scan | None:
        """What was found; None if that is not known. of: names it, with everything that what is kept depends on."""
        try:
            return _SCAN.validate_json(self._path(of).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def put(self, scan: Scan, *of: str) -> None:
        """Keeps it for good: so only what can no longer change."""
        with replacing(self._path(of)) as file:
            file.write(_SCAN.dump_json(scan))

    def _path(self, of: tuple[str, ...]) -> Path:
        name = hashlib.sha256("\n".join((_READING, *of)).encode()).hexdigest()
        return self.folder / f"{name}.json"
