"""That the same thing is not made twice at the same time."""

import threading


class Once:
    """A lock for each name, which is there for good: names are few, or kept by what they name."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}

    def __call__(self, name: str) -> threading.Lock:
        """To be held while what is called so is looked for, and made if it is not there."""
        return self._locks.setdefault(name, threading.Lock())
