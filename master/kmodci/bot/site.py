"""Mounts the farm's own pages below /kmodci of Buildbot's web server, /healthz, /metrics, and /v2 where a cluster asks
there for images; the API mounts itself."""

from buildbot.master import BuildMaster
from buildbot.util.service import BuildbotService
from twisted.internet import defer
from twisted.web.server import Request

from ..farm import Farm
from ..settings import PUBLIC_FILES
from .api.root import Api
from .files import Files
from .login.rules import may_read
from .pages.builds import Builds
from .pages.coverage import Coverage, Home
from .pages.failures import Failures
from .pages.hosts import Hosts
from .pages.kernels import FindKernel, Kernels
from .pages.runs import Runs
from .pages.sources import Sources
from .registry import Images

_PATH, _FILES = PUBLIC_FILES.split("/")
# where the specification wants it
_IMAGES = "v2"


class Site(BuildbotService):
    """Mounts them anew at a reconfig, for they show the farm that is configured."""

    name = "site"

    def __init__(self, farm: Farm) -> None:
        super().__init__(farm=farm)

    def reconfigService(self, farm: Farm) -> defer.Deferred[None]:
        master = self.master
        pages = Home(master)
        below = {
            "coverage": Coverage(master, farm),
            "failures": Failures(master),
            "builds": Builds(master, farm),
            "kernel": FindKernel(master),
            "kernels": Kernels(master),
            "runs": Runs(master, farm),
            "sources": Sources(master, farm),
            "hosts": Hosts(master, farm),
        }
        for name, page in below.items():
            pages.putChild(name.encode(), page)
        self.api = Api(self.master, farm)
        pages.putChild(_FILES.encode(), Files(farm.bucket, proxies=farm.settings.web.proxies, may_read=self._may_read))
        # the root of the web server, which is not made yet when a master starts
        root = self.master.www.apps.get("base").resource
        made = {_PATH: pages, "healthz": self.api.health, "metrics": self.api.metrics}
        if farm.engines.clusters:
            made[_IMAGES] = Images(farm.registry, proxies=farm.settings.web.proxies)
        elif _IMAGES.encode() in root.children:
            root.delEntity(_IMAGES.encode())
        for name, resource in made.items():
            root.putChild(name.encode(), resource)
        return defer.succeed(None)

    def _may_read(self, request: Request) -> bool:
        """A node has no browser, but it may have a token."""
        return may_read(self.master, request) or self.api.access.shows_token(request)


def run_address(master: BuildMaster, run: str) -> str:
    """Of the page of a run."""
    return f"{master.config.buildbotURL}{_PATH}/runs/{run}"
