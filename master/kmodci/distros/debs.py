"""What distributions of Debian's format share: how versions compare, what a dependency asks for (Policy, chapter 7)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cmp_to_key

from debian.debian_support import version_compare

from kmodci.errors import KmodciError
from kmodci.repos.base import Dependency, Listed


class Unresolved(KmodciError):
    """A header package cannot be used, and why."""


def compare(version: str, other: str) -> int:
    """deb-version(7)."""
    return int(version_compare(version, other))


def by_name(listed: Iterable[Listed]) -> Mapping[str, Sequence[Listed]]:
    index: defaultdict[str, list[Listed]] = defaultdict(list)
    for package in listed:
        index[package.name].append(package)
    return index


def dependencies(package: Listed) -> Iterator[Dependency]:
    """All of them, and all alternatives."""
    for alternatives in package.depends:
        yield from alternatives


def resolve(wanted: Dependency, by: Listed, index: Mapping[str, Sequence[Listed]], arch: str) -> Listed:
    """Of the same source version if there is one, because that is what the kernel was built with; else the newest.

    arch: what it may be for, if it is not for all. Raises Unresolved.
    """
    fitting = [
        package
        for package in index.get(wanted.name, ())
        if package.arch in ("all", arch) and _satisfies(package.version, wanted)
    ]
    if not fitting:
        raise Unresolved(f"needs {wanted} for {arch}, which the index does not list")
    same = [package for package in fitting if package.source_version == by.source_version]
    return max(same or fitting, key=lambda package: cmp_to_key(compare)(package.version))


def _satisfies(version: str, wanted: Dependency) -> bool:
    """Policy 7.1."""
    if not wanted.relation:
        return True
    order = compare(version, wanted.version)
    return {"<<": order < 0, "<=": order <= 0, "=": order == 0, ">=": order >= 0, ">>": order > 0}[wanted.relation]
