"""The real Docker engine, toolchain images and header bundles, for tests that need them."""

import os
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from kmodci.bootstrap import SuiteSource, bootstrap
from kmodci.discovery import Repository, look
from kmodci.distros import layout_of
from kmodci.engine import Engine
from kmodci.errors import Gone
from kmodci.fetch import Fetcher
from kmodci.headers import make_bundle
from kmodci.images import Recipe, for_preparing, recipe
from kmodci.mirrors import system_keyrings, system_mirrors
from kmodci.model import Kernel
from kmodci.repos.apt import AptIndex


@cache
def engine() -> Engine:
    return Engine(docker_host=os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"), farm="tests")


@cache
def toolchain_image(toolchain: str, series: str) -> str:
    """The image's tag. Made from the mirror, unless the engine has it already: a tag has one content for ever."""
    return made_image(recipe(toolchain, distro="debian", series=series))


@cache
def preparing_recipe(toolchain: str, series: str) -> Recipe:
    """Of the image in which headers are prepared, which is on the engine then."""
    wanted = for_preparing(recipe(toolchain, distro="debian", series=series))
    made_image(wanted)
    return wanted


def made_image(wanted: Recipe) -> str:
    if wanted.tag not in engine().tags():
        source = SuiteSource(
            url=system_mirrors()["debian"],
            suite=wanted.series,
            keyring=system_keyrings("debian")[0],
            check_valid_until=False,
        )
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "root.tar.zst"
            bootstrap(wanted, mirrors=[source], target=archive, log=lambda _: None)
            engine().load(archive, wanted.tag)
    return wanted.tag


@cache
def bookworm_kernels() -> tuple[Kernel, ...]:
    """What bookworm-security lists today, the newest first."""
    repository = Repository(
        name="bookworm-security main",
        distro="debian",
        series="bookworm",
        arches=("amd64", "arm64"),
        index=AptIndex(suite="bookworm-security", keyrings=system_keyrings("debian"), check_valid_until=False),
        mirrors=(system_mirrors()["debian-security"],),
    )
    found = look(repository, Fetcher(), now=datetime.now(UTC)).kernels
    return tuple(sorted(found, key=lambda kernel: kernel.version, reverse=True))


def header_bundle(arch: str, folder: Path) -> Kernel:
    """Puts a real kernel's `headers.tar.zst` into the folder: the newest whose packages the mirror still has."""
    for kernel in bookworm_kernels():
        if (kernel.target.arch, kernel.flavour) != (arch, arch):
            continue
        packages = [(package, folder / f"{package.name}_{package.arch}.deb") for package in kernel.headers]
        try:
            for package, path in packages:
                Fetcher().download(package.url, path, size=package.size, sha256=package.sha256)
        except Gone:
            continue
        make_bundle(packages, folder / "headers.tar.zst", layout=layout_of(kernel), release=kernel.release)
        for _, path in packages:
            path.unlink()
        return kernel
    raise AssertionError(f"the mirror has no kernel headers for {arch}")
