"""Where a farm is asked, and the token that it is asked with. Neither is taken as it comes."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .addresses import API
from .errors import Refused
from .pools import is_loopback
from .release import BadName
from .secretfile import read_secret

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")
_EXAMPLE = "an address is that of the web UI: https://farm.example.com/"
_PRINTABLE = re.compile(r"[!-~]{1,500}")


@dataclass(frozen=True, slots=True)
class Server:
    """A farm's address: where its web UI is, with a slash at the end."""

    url: str

    @classmethod
    def parse(cls, text: str) -> "Server":
        """Raises BadName."""
        try:
            parts = urlsplit(text)
            port_is_good = parts.port is None or parts.port > 0
        except ValueError:
            raise BadName(f"not the address of a farm: {text[:100]!r}", hint=_EXAMPLE) from None
        if parts.username is not None or parts.password is not None:
            # not told again: there is a password in it
            raise BadName("the address of a farm has no user or password in it", hint="say --token-file")
        is_good = parts.scheme in ("http", "https") and parts.hostname and port_is_good
        if not is_good or not _PRINTABLE.fullmatch(text) or parts.query or parts.fragment:
            raise BadName(f"not the address of a farm: {text[:100]!r}", hint=_EXAMPLE)
        return cls(f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/")

    @property
    def api(self) -> str:
        """What every path of the API comes after."""
        return f"{self.url}{API}/"

    @property
    def is_loopback(self) -> bool:
        """Whether that is this machine; then no proxy is asked."""
        return is_loopback(urlsplit(self.url).hostname or "")

    @property
    def keeps_secrets(self) -> bool:
        """Whether nobody between here and there can read what is sent."""
        return urlsplit(self.url).scheme == "https" or self.is_loopback


def read_token(path: Path, server: Server, *, insecure: bool) -> str:
    """The token in a file that only its owner may read. insecure: it may be sent in the clear.

    Raises SecretUnusable for the file, Refused for where it would go. No error tells what is in it.
    """
    if not (server.keeps_secrets or insecure):
        raise Refused(
            f"a token is not sent to {server.url}: anybody between here and there could read it",
            hint="ask over https, or through an ssh tunnel to 127.0.0.1; --insecure sends it nevertheless",
        )
    token = read_secret(path)
    if not _TOKEN.fullmatch(token):
        hint = "it holds the one line that `kmodci token add NAME` printed on the farm's machine"
        raise Refused(f"{path} holds no token", hint=hint)
    return token
