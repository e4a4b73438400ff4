"""A file with S3 credentials, as AWS tools write it."""

import configparser
from pathlib import Path

from .bucket import Credentials
from .errors import StoreError


def read_credentials(path: Path) -> Credentials:
    """Raises StoreError, which tells nothing of what is in it."""
    parser = configparser.ConfigParser()
    try:
        parser.read_string(path.read_text(), source=str(path))
        keys = parser["default"]
        return Credentials(access_key=keys["aws_access_key_id"], secret=keys["aws_secret_access_key"])
    except (OSError, KeyError, configparser.Error) as error:
        # the error's own text may quote a line of the file, and so a secret
        raise StoreError(
            f"{path}: no credentials can be read from it ({type(error).__name__})",
            hint="it wants a section [default] with aws_access_key_id and aws_secret_access_key",
        ) from None
