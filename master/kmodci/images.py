"""Toolchain images: which packages make one, and the digest that names what goes in.

A kernel module must be compiled by the compiler its kernel was compiled by, so there is one image per
compiler, bootstrapped from the series that has it. Pure: `bootstrap` makes what is described here.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from .errors import BuildImpossible
from .model import BUILD_ARCH
from .release import check_name

# Raise it when an image made before must not be used any more, though its recipe reads the same: it
# stands for what the recipe does not spell out, which is how `bootstrap` makes an image of it.
RECIPE_VERSION = 1

# Where the image runs on amd64, every other architecture is cross-compiled, with the compiler that Debian
# packages for it. Keys are Debian's architectures, values GNU triplets.
CROSS_TRIPLETS: Mapping[str, str] = MappingProxyType({"arm64": "aarch64-linux-gnu"})

# By Debian's series, the version of libc6 in its Packages, read on 2026-11-24; of buster, which no mirror has any more,
# what it was released with. Those of forky and sid grow.
GLIBC: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "buster": (2, 28),
        "bullseye": (2, 31),
        "bookworm": (2, 36),
        "trixie": (2, 41),
        "forky": (2, 43),
        "sid": (2, 43),
    }
)

# By Debian's stable series, the version of its python3.
PYTHONS: Mapping[str, tuple[int, int]] = MappingProxyType({"bookworm": (3, 11), "trixie": (3, 13)})

# What `make modules` runs besides the compiler (Documentation/process/changes.rst), and what unpacks
# and patches the sources. dwarves is pahole, which kernels since 5.11 ask for its version; libelf and
# libcrypto, which a kernel's own objtool and sign-file need, come with dwarves and kmod.
_TOOLS = ("bc", "dkms", "dwarves", "kmod", "make", "patch", "xz-utils", "zstd")

# What a kernel's own programs are compiled with besides (Documentation/process/changes.rst): kconfig and genksyms have
# parsers, objtool reads ELF files, sign-file signs.
_FOR_HOST_TOOLS = ("bison", "flex", "libelf-dev", "libssl-dev")

# A third of the size, and never read by a build: link-time optimisation (no kernel of a distribution
# uses GCC's), and the libraries of sanitizers (a kernel brings its own).
_EXCLUDED = (
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/bin/*-lto-dump-*",
    "/usr/lib*/gcc*/lto1",
    *(f"/usr/*/lib{name}san{kind}" for name in ("a", "hwa", "l", "t", "ub") for kind in (".a", ".so*")),
    *(f"/usr/lib/gcc*/lib{name}san_preinit.o" for name in ("a", "hwa", "l", "t")),
)

_KEY = re.compile(r"images/(toolchain-gcc-[0-9]+(?:-arm64)?(?:-prepare)?)-([0-9a-f]{16})\.tar\.zst")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a toolchain image is made of.

    Where the packages are fetched from is not part of it: the same series is the same image. Nor are
    the packages' versions: an image is made again when its recipe changes, not when a mirror does.
    """

    name: str
    """`toolchain-gcc-12`; of another architecture than the usual one `toolchain-gcc-12-arm64`"""
    toolchain: str
    """`gcc-12`"""
    distro: str
    series: str
    packages: tuple[str, ...]
    excluded: tuple[str, ...] = _EXCLUDED
    """glob patterns of paths that are left out (dpkg's path-exclude)"""
    arch: str = BUILD_ARCH
    """what it runs on"""

    @property
    def short(self) -> str:
        """What people call it: `gcc-12`, `gcc-12-arm64`."""
        return self.name.removeprefix("toolchain-")

    @property
    def digest(self) -> str:
        """16 hex digits over everything that decides the image's content."""
        named = [RECIPE_VERSION, self.name, self.toolchain, self.distro, self.series, self.packages, self.excluded]
        # said only where it is another: the images that there were before architectures are what they were
        named += [self.arch] if self.arch != BUILD_ARCH else []
        return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16]

    @property
    def glibc(self) -> tuple[int, int] | None:
        """The C library that the image's programs have (2.36 -> 2, 36); None where it is not known.

        A program that was linked with a newer one does not start in it.
        """
        return GLIBC.get(self.series) if self.distro == "debian" else None

    @property
    def tag(self) -> str:
        """What a Docker engine calls the image. Never given to another content."""
        return f"kmodci/{self.name}:{self.digest}"

    @property
    def key(self) -> str:
        """Where the bucket keeps the image's root file system."""
        return f"images/{self.name}-{self.digest}.tar.zst"


def tag_of_key(key: str) -> str | None:
    """The tag of the image that the bucket keeps under this key (`Recipe.key`); None if it is no image's."""
    found = _KEY.fullmatch(key)
    return f"kmodci/{found[1]}:{found[2]}" if found else None


def for_preparing(made: Recipe) -> Recipe:
    """The image of the same compiler in which `prepare-headers` runs.

    One of its own, made when the first kernel needs it: what is added to the other has all of its modules built again.
    """
    packages = tuple(sorted((*made.packages, *_FOR_HOST_TOOLS)))
    # to link statically with
    excluded = (*made.excluded, *(f"/usr/lib/*-linux-gnu/lib{name}.a" for name in ("crypto", "ssl")))
    return replace(made, name=f"{made.name}-prepare", packages=packages, excluded=excluded)


def short_name(toolchain: str, arch: str) -> str:
    """What the image of a toolchain is called that runs on this architecture."""
    return toolchain if arch == BUILD_ARCH else f"{toolchain}-{arch}"


def natively(made: Recipe, arch: str) -> Recipe:
    """The image of the same compiler that runs on this architecture, and builds for that alone."""
    if arch == made.arch:
        return made
    packages = tuple(each for each in made.packages if not each.endswith(tuple(CROSS_TRIPLETS.values())))
    name = f"toolchain-{short_name(made.toolchain, arch)}"
    return replace(made, name=name, packages=packages, arch=arch)


def worker(arch: str, followed: Iterable[tuple[str, str]]) -> Recipe | None:
    """No image, but the packages that a Python of another architecture than the master's is made of (`foreignpython`).

    followed: distributions and series that are known; None if there is none of Debian's stable ones among them.
    """
    known = [series for distro, series in followed if distro == "debian" and series in PYTHONS]
    # what the same Python is to run can be compiled here
    series = min(known, key=lambda each: PYTHONS[each] != sys.version_info[:2], default="")
    if not series:
        return None
    name = f"worker-{arch}"
    return Recipe(
        name=name, toolchain="", distro="debian", series=series, packages=("python3",), excluded=(), arch=arch
    )


def nearest(compiler: str, toolchains: Iterable[str]) -> str:
    """Of the toolchains that there are, the one to use for a kernel built with this compiler; empty if none will do.

    The same, or else the nearest that is newer: an older one does not know the options that the kernel's
    configuration found (`-fmin-function-alignment`, of gcc 14), while a newer one knows all that an older one did.
    """
    kind, number = _version(compiler)
    fitting = {_version(each): each for each in toolchains if _version(each)[0] == kind}
    return next((fitting[each] for each in sorted(fitting) if each[1] >= number), "") if number else ""


def _version(toolchain: str) -> tuple[str, int]:
    """`gcc-12` -> gcc, 12; 0 for what has no number."""
    kind, _, number = toolchain.rpartition("-")
    return kind, int(number) if number.isdecimal() else 0


def recipe(toolchain: str, *, distro: str, series: str) -> Recipe:
    """The image with this compiler, for every architecture we build for. `gcc-12` -> Recipe.

    Raises BadName for a name that is none, and BuildImpossible for a compiler that we cannot install.
    """
    check_name(toolchain, "toolchain")
    compiler, _, version = toolchain.partition("-")
    if compiler != "gcc" or not version.isdigit():
        raise BuildImpossible(
            f"no image can be made for toolchain {toolchain}",
            hint="a toolchain is gcc-N, as Debian names the compiler's package",
        )
    crosses = [f"{toolchain}-{triplet}" for triplet in CROSS_TRIPLETS.values()]
    return Recipe(
        name=f"toolchain-{toolchain}",
        toolchain=toolchain,
        distro=check_name(distro, "distribution"),
        series=check_name(series, "series"),
        packages=tuple(sorted([toolchain, *crosses, *_TOOLS])),
    )


def lost_note(tag: str) -> str:
    """Where the store notes that a host wanted an image which the bucket does not have, though another host may."""
    return f"image-lost/{tag}"
