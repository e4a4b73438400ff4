"""The answers of a farm that runs, over its HTTP API."""

import functools
from collections.abc import Mapping, Sequence

from ..apicalls import PATIENCE
from ..apiclient import ApiClient, Wanted
from ..apiserver import Server
from ..coverage import Counted
from ..model import BuildId
from ..runs import check_id
from ..sourceview import Health
from ..told import KernelTold, RunTold, RunWholeTold, SourceTold
from .answers import Explained
from .explaining import explained_by
from .output import note

# more the API does not list
_MOST_RUNS = 1000


class Remote:
    """Asks one farm."""

    looked = False
    stopped = ""

    def __init__(self, server: Server, token: str) -> None:
        self.option = f" --server {server.url}"
        self.client = ApiClient(server, token=token, patience=PATIENCE, say=note)

    @functools.cached_property
    def faults(self) -> Mapping[str, str]:
        return {each.name: each.error for each in self.sources() if each.error and each.health != Health.IDLE}

    def kernels(self, *, whole: bool = False) -> Sequence[KernelTold]:
        return self.client.kernels()

    def sources(self) -> Sequence[SourceTold]:
        return self.client.sources()

    def builds(self) -> Sequence[Counted]:
        return self.client.standings()

    def explain(self, build_id: str) -> Explained:
        return explained_by(self.client.build(wanted(build_id).id))

    def runs(self, limit: int) -> Sequence[RunTold]:
        return self.client.runs(min(limit, _MOST_RUNS))

    def run(self, identity: str, ending: str = "") -> RunWholeTold:
        return self.client.run(check_id(identity), ending)


def wanted(build_id: str, *, version: str = "", rebuild: bool = False) -> Wanted:
    """The question for a build. Raises BadName for what is no build id."""
    found = BuildId.parse(build_id)
    return Wanted(
        module=found.module,
        distro=found.target.distro,
        series=found.target.series,
        arch=found.target.arch,
        kernel_release=found.release,
        version=version,
        rebuild=rebuild,
    )
