"""The answers of a farm's own files: its configuration, and what it remembers."""

import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..coverage import Counted
from ..errors import NotFound
from ..explanation import Known
from ..explanation import explain as explained
from ..listing import in_scope
from ..matrix import newest_first
from ..model import Kernel
from ..runs import check_id
from ..runstore import RunStore
from ..runview import of_ending, plain, plain_whole
from ..runview import view as run_view
from ..search import find_build
from ..settings import load
from ..sourceview import plain as plain_source
from ..told import HeaderTold, KernelTold, RunTold, RunWholeTold, SourceTold
from .answers import Explained
from .explaining import facts_of
from .processes import runs_on
from .remembered import farm_store
from .view import View, open_view


class Local:
    """Reads only. What is not remembered is looked at now, once (`view`)."""

    option = ""

    def __init__(self, config: Path, scope: str, *, fresh: bool) -> None:
        self._config = config
        self._scope = scope
        self._fresh = fresh
        self._views: dict[bool, View] = {}

    @property
    def faults(self) -> Mapping[str, str]:
        return self._last.faults

    @property
    def looked(self) -> bool:
        return self._last.looked

    @property
    def stopped(self) -> str:
        return "" if runs_on(self._state) else f"no farm runs on {self._state}: `kmodci up` starts one, and it goes on"

    def kernels(self, *, whole: bool = False) -> Sequence[KernelTold]:
        view = self.view(whole=whole)
        known = view.store.kernels().values()
        return [_kernel(each) for each in newest_first(known if whole else in_scope(known, view.scope))]

    def sources(self) -> Sequence[SourceTold]:
        now = time.time()
        return [SourceTold.model_validate(plain_source(each, now)) for each in self.view().sources()]

    def builds(self) -> Sequence[Counted]:
        return self.view().standings()

    def explain(self, build_id: str) -> Explained:
        view, known = self.view(whole=True), self._known
        found = explained(find_build(build_id, known.modules, known.kernels), known)
        return Explained(
            build_id=build_id,
            status=found.standing.status if found.standing else "not in the matrix",
            why=found.why,
            facts=facts_of(found, view.bundle(found.kernel), view.settings.retention.logs),
        )

    def runs(self, limit: int) -> Sequence[RunTold]:
        known = self._runs
        found = known.runs(limit=limit) if known else []
        sums = known.totals([run.id for run in found]) if known else {}
        return [RunTold.model_validate(plain(run, sums[run.id])) for run in found]

    def run(self, identity: str, ending: str = "") -> RunWholeTold:
        known = self._runs
        found = known.run(check_id(identity)) if known else None
        if known is None or found is None:
            raise NotFound(f"there is no run {identity}", hint="`kmodci runs` lists them")
        entries = known.entries(identity)
        seen = run_view(found, entries, time.time())
        return RunWholeTold.model_validate(plain_whole(seen, of_ending(entries, ending)))

    def view(self, *, whole: bool = False) -> View:
        """whole: of all that is followed, whatever the scope needs."""
        if whole not in self._views:
            self._views[whole] = open_view(self._config, self._scope, fresh=self._fresh, whole=whole)
        return self._views[whole]

    @property
    def _last(self) -> View:
        return next(iter(self._views.values()), None) or self.view()

    @functools.cached_property
    def _state(self) -> Path:
        return load(self._config).state

    @functools.cached_property
    def _known(self) -> Known:
        return self.view(whole=True).known()

    @functools.cached_property
    def _runs(self) -> RunStore | None:
        store = farm_store(load(self._config))
        return RunStore(store) if store else None


def _kernel(kernel: Kernel) -> KernelTold:
    return KernelTold(
        target=str(kernel.target),
        release=kernel.release,
        version=kernel.version,
        flavour=kernel.flavour,
        toolchain=kernel.toolchain,
        repository=kernel.repository,
        gone=kernel.gone or None,
        headers=tuple(
            HeaderTold(name=each.name, version=each.version, url=each.url, sha256=each.sha256)
            for each in kernel.headers
        ),
    )
