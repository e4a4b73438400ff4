"""Whose page a browser sends something from."""

from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from buildbot.master import BuildMaster


def is_own(master: BuildMaster, origin: str) -> bool:
    """Whether it is a page of this farm, or of one that `www` allows. origin: the header, empty if there is none."""
    own = urlsplit(master.config.buildbotURL)
    allowed = master.config.www.get("allowed_origins", [f"{own.scheme}://{own.netloc}"])
    return any(fnmatchcase(origin.lower(), each.lower()) for each in allowed)
