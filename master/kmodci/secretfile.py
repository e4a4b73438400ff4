"""Files that hold one secret: a token, a password, an address that is one. Kept from others, or not used."""

import stat
from pathlib import Path

from .errors import SecretUnusable

_LONGEST = 4096


def check_private(path: Path) -> None:
    """Raises SecretUnusable if others than the file's owner may read it. What cannot be looked at raises OSError."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SecretUnusable(
            f"{path}: others may read it", hint=f"chmod 600 {path}, and renew the secret if others may have read it"
        )


def read_secret(path: Path) -> str:
    """The one line that the file holds. Raises SecretUnusable, which never tells any of it."""
    try:
        check_private(path)
        lines = path.read_text(encoding="utf-8").strip().splitlines()
    except OSError as error:
        raise SecretUnusable(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        lines = []
    if len(lines) != 1 or len(lines[0]) > _LONGEST or not lines[0].isprintable():
        raise SecretUnusable(f"{path}: does not hold one line of text", hint="write the secret into it, and no more")
    return lines[0]
