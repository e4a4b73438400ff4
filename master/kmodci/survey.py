"""Every source of the configuration, as the store knows it."""

from .acceptance import Acceptances
from .schema import Scope
from .selectors import matches
from .settings import Settings
from .sourceview import SourceView, views
from .store import Store
from .where import followed, packages, repositories

_OUT_OF_SCOPE = "the scope does not need it"
_UNFOLLOWED = "targets.yml does not follow it any more"


def survey(settings: Settings, scope: Scope, store: Store, acceptances: Acceptances | None) -> tuple[SourceView, ...]:
    """What targets.yml follows or has followed, and every module's source.

    scope: nobody looks at what it does not take; acceptances: None where nobody can accept. Raises KmodciError.
    """
    states, counts, targets = store.repository_states(), store.counts(), followed(settings)
    packaged = packages(settings, Scope())
    elsewhere = {module for made in packaged.values() for module in made.values()}
    modules = [name for name in settings.modules if name not in elsewhere]
    needed = repositories(settings, scope)
    idle = {name: _OUT_OF_SCOPE for name in targets if name not in needed}
    idle |= {name: _UNFOLLOWED for name in counts if name not in targets}
    idle |= {name: _OUT_OF_SCOPE for name in modules if not matches(name, scope.modules)}
    return views(
        {name: [*packaged.get(name, {}).values()] for name in dict.fromkeys((*targets, *sorted(counts)))},
        modules,
        idle=idle,
        states=states,
        counts=counts,
        versions={name: found.version for name, found in store.module_versions().items()},
        accepted={
            name: found.by
            for name, state in states.items()
            if acceptances and (found := acceptances.find(name, state.doubt))
        },
    )
