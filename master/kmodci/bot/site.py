"""Mounts the farm's own pages below /kmodci of Buildbot's web server."""

from buildbot.master import BuildMaster
from buildbot.util.service import BuildbotService
from twisted.internet import defer

from ..farm import Farm
from .pages.base import Page
from .pages.hosts import Hosts
from .pages.runs import Runs
from .pages.sources import Sources

_PATH = "kmodci"


class Site(BuildbotService):
    """Mounts them anew at a reconfig, for they show the farm that is configured."""

    name = "site"

    def __init__(self, farm: Farm) -> None:
        super().__init__(farm=farm)

    def reconfigService(self, farm: Farm) -> defer.Deferred[None]:
        pages = Page(self.master)
        made = {"runs": Runs, "sources": Sources, "hosts": Hosts}
        for name, page in ((name, kind(self.master, farm)) for name, kind in made.items()):
            pages.putChild(name.encode(), page)
            pages.putChild(f"{name}.json".encode(), page)
        # the root of the web server, which is not made yet when a master starts
        self.master.www.apps.get("base").resource.putChild(_PATH.encode(), pages)
        return defer.succeed(None)


def run_address(master: BuildMaster, run: str) -> str:
    """Of the page of a run."""
    return f"{master.config.buildbotURL}{_PATH}/runs/{run}"
