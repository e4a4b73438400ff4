"""Where things are on the farm's web server, for who is told of them: absolute URLs."""

from dataclasses import dataclass
from urllib.parse import quote

from .settings import Settings

API = "api/kmodci/v1"
"""of the HTTP API, below the web server's address"""
PAGES = "kmodci"
"""of the farm's own pages"""
# What of a key or an id may stand in a path as it is (RFC 3986, section 3.3); a `+` not, for who reads it as a space.
_SAFE = "/,:~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Both with a `/` at the end."""

    web: str
    files: str
    """what the keys of the bucket are put behind"""

    @classmethod
    def of(cls, settings: Settings) -> "Addresses":
        web = settings.web.address
        return cls(web=web, files=f"{settings.public_bucket.rstrip('/')}/")

    def status(self, identity: str) -> str:
        """Of a build, by the id of a question for it."""
        return f"{self.web}{API}/builds/{quote(identity, safe=_SAFE)}"

    def log(self, identity: str) -> str:
        return f"{self.status(identity)}/log"

    def page(self, build_id: str) -> str:
        """The page of a build, for people."""
        return f"{self.web}{PAGES}/builds/{quote(build_id, safe=_SAFE)}"

    def file(self, key: str) -> str:
        """Of an object in the bucket."""
        return self.files + quote(key, safe=_SAFE)
