"""What a request's headers say, and whose page a browser sends something from."""

from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from buildbot.master import BuildMaster
from twisted.web.server import Request


def header(request: Request, name: str) -> str:
    """The last of that name, empty if there is none. Whatever its bytes are, it can be read: Twisted, asked for text,
    raises UnicodeDecodeError where they are no UTF-8."""
    return (request.getHeader(name.encode()) or b"").decode("latin-1")


def is_own(master: BuildMaster, origin: str) -> bool:
    """Whether it is a page of this farm, or of one that `www` allows. origin: the header, empty if there is none."""
    own = urlsplit(master.config.buildbotURL)
    allowed = master.config.www.get("allowed_origins", [f"{own.scheme}://{own.netloc}"])
    return any(fnmatchcase(origin.lower(), each.lower()) for each in allowed)
