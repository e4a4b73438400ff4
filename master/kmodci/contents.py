"""The bucket as a cleanup finds it, and what of it is needed. Values for `retention`, which decides."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from .manifest import IndexEntry, Manifest, Record
from .objects import Object

Version = tuple[str, str]
"""a module and a version of it"""


class Retired(Record):
    """When versions of modules left the index: the object `state/retired.json`."""

    format: int = 1
    versions: Mapping[str, float] = {}
    """`module/version` -> seconds since the epoch"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What is to be kept besides what is published."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """module -> the version that its source is at"""
    bundles: frozenset[str] = frozenset()
    """SHA256s of the header bundles of kernels that are known"""
    images: frozenset[str] = frozenset()
    """keys of the images of today's recipes"""
    runs: frozenset[str] = frozenset()
    """ids of the runs that have not ended"""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The bucket as it was found."""

    objects: tuple[Object, ...]
    manifests: Mapping[str, Manifest]
    """by key"""
    named: frozenset[str]
    """keys that index objects name"""
    latest: Mapping[str, IndexEntry] = field(default_factory=dict)
    """what a node gets that asks for no version, by key"""
    retired: Mapping[str, float] = field(default_factory=dict)
    """as in `Retired`"""

    @cached_property
    def by_version(self) -> Mapping[Version, tuple[Object, ...]]:
        """What is below `modules/<module>/<version>/`."""
        found: defaultdict[Version, list[Object]] = defaultdict(list)
        for each in self.objects:
            parts = each.key.split("/", 3)
            if parts[0] == "modules" and len(parts) == 4:
                found[parts[1], parts[2]].append(each)
        return {version: tuple(objects) for version, objects in found.items()}

    @cached_property
    def indexed(self) -> Mapping[Version, tuple[Object, ...]]:
        """The index objects of each version, that of the whole version first."""
        found: defaultdict[Version, list[Object]] = defaultdict(list)
        for each in self.objects:
            parts = each.key.split("/", 3)
            if parts[0] == "index" and len(parts) == 4:
                found[parts[1], parts[2]].append(each)
            elif parts[0] == "index" and len(parts) == 3:
                found[parts[1], parts[2].removesuffix(".json")].insert(0, each)
        return {version: tuple(objects) for version, objects in found.items()}
