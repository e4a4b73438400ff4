"""What a farm remembers, if it has run."""

from ..settings import Settings
from ..store import Store


def farm_store(settings: Settings) -> Store | None:
    """The farm's store, or None if none was made yet."""
    if settings.database is None and not (settings.state / "kmodci.sqlite").exists():
        return None
    return Store(settings.database_url)
