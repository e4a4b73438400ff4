"""The lists of our kernels in the bucket, for tools that read kernel-crawler's."""

from collections.abc import Iterable, Iterator

from .farm import Farm
from .kernellist import kernel_list
from .keys import kernel_list_key
from .model import Kernel
from .repos.base import MACHINES
from .schema import Scope
from .selectors import matches


def in_scope(kernels: Iterable[Kernel], scope: Scope) -> Iterator[Kernel]:
    """Those that a farm of this scope follows."""
    return (kernel for kernel in kernels if matches(str(kernel), scope.kernels))


def write_kernel_lists(farm: Farm) -> tuple[str, ...]:
    """Writes the list of each architecture, if it is not what the bucket has. Returns their keys. Raises StoreError."""
    kernels = list(in_scope(farm.store.kernels().values(), farm.scope))
    written: list[str] = []
    for arch in MACHINES:
        key, content = kernel_list_key(arch), kernel_list(kernels, arch)
        if farm.bucket.get(key) != content:
            farm.bucket.put(key, content)
            written.append(key)
    return tuple(written)
