"""Files with a secret in them: of their owner alone, or not taken."""

import os
import stat
from pathlib import Path

from .errors import StoreError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_private(path: Path, *, limit: int) -> str:
    """What the file holds. limit: bytes.

    Raises StoreError, which tells nothing of that, where others than its owner may read or write it, or it is longer,
    or no text.
    """
    try:
        # what is looked at is what is read; a pipe that nobody writes to is no reason to wait
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            os.set_blocking(file.fileno(), True)
            if mode & _OTHERS:
                hint = f"chmod 600 {path}, and make a new one if others may have read it"
                raise StoreError(f"{path}: others may read it", hint=hint)
            data = file.read(limit + 1)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}", hint="is that the right file?") from error
    if len(data) > limit:
        raise StoreError(f"{path} holds more than {limit} bytes", hint="is that the right file?")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise StoreError(f"{path} holds no text", hint="is that the right file?") from None
