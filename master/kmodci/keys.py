"""Where things are in the bucket. Every part of a key is checked: a key ends in URLs and on disks."""

import re

from .distros import index_place
from .model import Kernel, Target, check_module_version
from .release import BadName, check_name, check_release
from .repos.base import MACHINES

MANIFEST = "manifest.json"
_BUILD_PARTS = 7
LOG = "build.log.zst"
KERNELS = "state/kernels.json"
RETIRED = "state/retired.json"
MEMORY = "state/memory.json.zst"
KERNEL_LISTS = "index/kernel-crawler/"
LATEST = "latest/"
PUBLIC = ("index", "latest", "modules")
"""what nodes read of the bucket; the rest is the farm's own"""
_PUBLIC_PART = re.compile(r"[0-9A-Za-z.+~:_-]{1,255}")
_LONGEST = 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")


def build_prefix(module: str, version: str, kernel: Kernel) -> str:
    """Where a build's files are, with a `/` at the end. Raises BadName."""
    target = kernel.target
    place = f"{target.distro}/{target.series}/{target.arch}/{check_release(kernel.release)}"
    return f"modules/{check_name(module, 'module')}/{check_module_version(version)}/{place}/"


def manifest_key(module: str, version: str, kernel: Kernel) -> str:
    """Raises BadName."""
    return build_prefix(module, version, kernel) + MANIFEST


def log_key(manifest: str) -> str:
    """The build log's, beside a manifest."""
    return manifest.removesuffix(MANIFEST) + LOG


def index_key(module: str, version: str, target: Target, release: str) -> str:
    """What a node reads. Raises BadName."""
    place = f"{index_place(target)}/{check_release(release)}"
    return f"index/{check_name(module, 'module')}/{check_module_version(version)}/{place}.json"


def latest_key(module: str, target: Target, release: str) -> str:
    """What a node reads that does not know the module's version. Raises BadName."""
    return f"{LATEST}{check_name(module, 'module')}/{index_place(target)}/{check_release(release)}.json"


def version_index_key(module: str, version: str) -> str:
    """Raises BadName."""
    return f"index/{check_name(module, 'module')}/{check_module_version(version)}.json"


def kernel_list_key(arch: str) -> str:
    """The kernels of an architecture, as kernel-crawler lists them."""
    return f"{KERNEL_LISTS}{MACHINES[arch]}/list.json"


def headers_key(sha256: str) -> str:
    """A header bundle's. Raises BadName."""
    if not _SHA256.fullmatch(sha256):
        raise BadName(f"not a SHA256: {sha256[:80]!r}", hint="64 hexadecimal digits")
    return f"headers/{sha256}.tar.zst"


def sha256_of_headers(key: str) -> str:
    """The other way round. Raises BadName."""
    sha256 = key.removeprefix("headers/").removesuffix(".tar.zst")
    if headers_key(sha256) != key:
        raise BadName(f"not a header bundle's key: {key[:120]!r}")
    return sha256


def run_key(run: str, part: str) -> str:
    """One object of a run's state: `matrix`, `chunk-001`, `summary`. Raises BadName."""
    return f"state/runs/{check_name(run, 'run id')}/{check_name(part, 'part of a run')}.json"


def check_public(key: str) -> str:
    """The key of an object that anybody may read, as it is. Raises BadName; also for a folder."""
    parts = key.split("/")
    fits = all(_PUBLIC_PART.fullmatch(part) and ".." not in part for part in parts)
    if len(key) > _LONGEST or len(parts) < 2 or parts[0] not in PUBLIC or not fits:
        raise BadName(
            f"no key of what is public: {key[:120]!r}", hint=f"there are {', '.join(PUBLIC)}, see docs/nodes.md"
        )
    return key


def build_of_key(key: str) -> str:
    """Where the build is that an object below `modules/` is of, without a `/` at the end."""
    return "/".join(key.split("/")[:_BUILD_PARTS])


def run_of_key(key: str) -> str:
    """The id of the run that an object is of; empty if it is of none."""
    head, _, rest = key.partition("state/runs/")
    run, slash, _ = rest.partition("/")
    return run if slash and not head else ""
