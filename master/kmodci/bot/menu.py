"""The farm's own pages in Buildbot's menu: a plugin of its web interface, each entry a frame with the page in it.

Buildbot finds it by the entry point `kmodci` of the group `buildbot.www` (pyproject.toml). The pages themselves are no
part of it: they are served by `site`, and work without Buildbot's interface.
"""

from importlib.metadata import version
from importlib.resources import files

from buildbot.www.plugin import Application
from twisted.web.static import File

PLUGIN = "kmodci"
STATIC = f"plugins/{PLUGIN}/"
"""where the plugin's files are served, below the address of the web interface"""

# What the interface is told, and the plugin's script reads: it is public.
MENU = [
    {"name": "coverage", "caption": "Coverage", "page": "kmodci/coverage", "order": 0},
    {"name": "failures", "caption": "Failures", "page": "kmodci/failures", "order": 4},
    {"name": "runs", "caption": "Runs", "page": "kmodci/runs", "order": 5},
    {"name": "sources", "caption": "Sources", "page": "kmodci/sources", "order": 6},
    {"name": "hosts", "caption": "Hosts", "page": "kmodci/hosts", "order": 7},
]


class Menu(Application):
    """Serves what is in `kmodci/static`: the plugin's script, and the pages' style."""

    def __init__(self) -> None:
        # not Application's own: that reads a version from a file that only Buildbot's packages have
        self.description = "The farm's own pages"
        self.version = version("kmodci")
        self.static_dir = files("kmodci") / "static"
        self.resource = File(str(self.static_dir))
        self.ui = True


plugin = Menu()
