"""The lists of our kernels in the bucket, for tools that read kernel-crawler's."""

from collections.abc import Iterable, Iterator

from .farm import Farm
from .kernellist import kernel_list
from .keys import kernel_list_key
from .model import Kernel
from .repos.base import MACHINES
from .schema import Scope
from .selectors import matches
from .store import Store
from .watch import BASE_NOTES


def in_scope(kernels: Iterable[Kernel], scope: Scope) -> Iterator[Kernel]:
    """Those that a farm of this scope follows."""
    return (kernel for kernel in kernels if matches(str(kernel), scope.kernels))


def mirrors_read(store: Store) -> dict[str, str]:
    """For `kernel_list`: the mirror that each repository was read from that a list leads to."""
    return {note.removeprefix(BASE_NOTES): base for note, base in store.metas(BASE_NOTES).items()}


def write_kernel_lists(farm: Farm) -> tuple[str, ...]:
    """Writes the list of each architecture, if it is not what the bucket has. Returns their keys. Raises StoreError.

    A farm that knows no kernel at all, because it has just been made, leaves what an earlier one has listed.
    """
    known = farm.store.kernels()
    if not known:
        return ()
    kernels, bases = list(in_scope(known.values(), farm.scope)), mirrors_read(farm.store)
    written: list[str] = []
    for arch in MACHINES:
        key, content = kernel_list_key(arch), kernel_list(kernels, arch, bases)
        if farm.bucket.get(key) != content:
            farm.bucket.put(key, content)
            written.append(key)
    return tuple(written)
