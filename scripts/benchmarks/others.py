"""What people do without a farm, on the same kernels, with the same compilers: DKMS, and a container per kernel."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kmodci.cli.output import note, print_table
from kmodci.farm import Farm
from kmodci.model import Kernel, ModuleVersion

from .place import Place

# so many containers have their headers in memory at once
_PREPARED = 8
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_ENVIRONMENTS = {"amd64": {}, "arm64": {"ARCH": "arm64", "CROSS_COMPILE": "aarch64-linux-gnu-"}}

_COMPILER = 'ln -sf "$(command -v "$CC")" "/usr/bin/${CROSS_COMPILE:-}gcc"'
_PREPARE = f"""set -e
zstd -dcq /in/headers.tar.zst | tar -x -C /usr/src
mkdir -p "/usr/src/$MODULE-$VERSION" "/lib/modules/$RELEASE"
zstd -dcq /in/source.tar.zst | tar -x -C "/usr/src/$MODULE-$VERSION"
sed -i "s/^PACKAGE_NAME=.*/PACKAGE_NAME=$MODULE/; s/^PACKAGE_VERSION=.*/PACKAGE_VERSION=$VERSION/" \
    "/usr/src/$MODULE-$VERSION/dkms.conf"
ln -s "/usr/src/linux-headers-$RELEASE" "/lib/modules/$RELEASE/build"
{_COMPILER}
dkms add -m "$MODULE" -v "$VERSION"
"""
_DKMS = """set -e
dkms build -m "$MODULE" -v "$VERSION" -k "$RELEASE" -a "$MACHINE"
ls "/var/lib/dkms/$MODULE/$VERSION/$RELEASE/$MACHINE/module/"*.ko*
"""
_CONTAINER = f"""set -e
for deb in /in/*.deb; do dpkg-deb -x "$deb" /unpacked; done
mkdir /source
cp -a /unpacked/usr/. /usr/
zstd -dcq /in/source.tar.zst | tar -x -C /source
{_COMPILER}
make -C "/usr/src/linux-headers-$RELEASE" M=/source modules
ls /source/*.ko
"""


@dataclass(frozen=True, slots=True)
class _Docker:
    """The engine's own command line."""

    host: str

    def __call__(self, *arguments: str) -> bool:
        """Whether it did as asked; if not, the last of what it said is shown."""
        done = subprocess.run(
            ["docker", "--host", self.host, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            note(f"failed: {arguments[0]}: {done.stdout.strip()[-400:]}")
        return done.returncode == 0


def dkms(place: Place, *, count: int, exclude: Sequence[str]) -> None:
    """`dkms build`, one after the other and two at a time; that headers are unpacked before is not counted."""
    place.choose(count, exclude)
    rows = []
    with place.farm() as (farm, kernels):
        module = _module(farm, place)
        for jobs in (1, 2):
            wall, built = 0.0, 0
            for first in range(0, len(kernels), _PREPARED):
                some = kernels[first : first + _PREPARED]
                spent, good = _dkms(farm, module, some, jobs)
                wall, built = wall + spent, built + good
            rows.append((f"dkms build, {jobs} at a time", len(kernels), built, wall))
    _print(rows)


def container(place: Place, *, count: int, exclude: Sequence[str]) -> None:
    """A container per kernel: header packages downloaded and unpacked, then make. Two at a time."""
    place.choose(count, exclude)
    with place.farm() as (farm, kernels):
        module = _module(farm, place)
        source, docker = farm.supply.source(module), _Docker(farm.settings.engine.docker_host)

        def build(kernel: Kernel) -> bool:
            with tempfile.TemporaryDirectory(dir=farm.paths.scratch) as name:
                folder = Path(name)
                folder.chmod(0o755)
                for package in kernel.headers:
                    target = folder / f"{package.name}.deb"
                    farm.supply.downloads.package(package, target)
                (folder / "source.tar.zst").write_bytes(source.read_bytes())
                options = ["--rm", "--network=none", f"--volume={folder}:/in:ro", *_options(kernel, module)]
                return docker("run", *options, _image(farm, kernel), "bash", "-c", _CONTAINER)

        wall, built = _timed(build, kernels, 2)
    _print([("a container per kernel, 2 at a time", len(kernels), built, wall)])


def _dkms(farm: Farm, module: ModuleVersion, kernels: Sequence[Kernel], jobs: int) -> tuple[float, int]:
    docker = _Docker(farm.settings.engine.docker_host)
    source = farm.supply.source(module)
    names = {str(kernel): f"kmodci-bench-{number}" for number, kernel in enumerate(kernels)}
    try:
        for kernel in kernels:
            headers = farm.supply.bundle(kernel).path
            mounts = [f"--volume={headers}:/in/headers.tar.zst:ro", f"--volume={source}:/in/source.tar.zst:ro"]
            options = ["--detach", "--network=none", f"--name={names[str(kernel)]}", *mounts, *_options(kernel, module)]
            # in memory, as in a sandbox
            options += ["--tmpfs=/usr/src:exec", "--tmpfs=/var/lib/dkms:exec", "--tmpfs=/tmp:exec"]
            docker("run", *options, _image(farm, kernel), "sleep", "infinity")
            docker("exec", names[str(kernel)], "bash", "-c", _PREPARE)
        return _timed(lambda kernel: docker("exec", names[str(kernel)], "bash", "-c", _DKMS), kernels, jobs)
    finally:
        docker("rm", "--force", *names.values())


def _timed(build: Callable[[Kernel], bool], kernels: Sequence[Kernel], jobs: int) -> tuple[float, int]:
    """Seconds, and how many were built."""
    began = time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        built = sum(pool.map(build, kernels))
    return time.monotonic() - began, built


def _options(kernel: Kernel, module: ModuleVersion) -> list[str]:
    arch = kernel.target.arch
    cross = _ENVIRONMENTS[arch]
    values = {
        "RELEASE": kernel.release,
        "MODULE": module.module,
        "VERSION": module.version,
        "MACHINE": _MACHINES[arch],
        "CC": f"{cross.get('CROSS_COMPILE', '')}{kernel.toolchain}",
        **cross,
    }
    return [f"--env={name}={value}" for name, value in values.items()]


def _module(farm: Farm, place: Place) -> ModuleVersion:
    found = farm.store.module_version(place.module)
    assert found is not None  # its repository was just read
    return found


def _image(farm: Farm, kernel: Kernel) -> str:
    farm.supply.images.make(kernel.toolchain, lambda _: None)
    return farm.recipes[kernel.toolchain].tag


def _print(rows: Sequence[tuple[str, int, int, float]]) -> None:
    columns = ("what", "kernels", "built", "wall s", "s per kernel")
    print_table(columns, ((*row[:3], f"{row[3]:.1f}", f"{row[3] / row[1]:.2f}") for row in rows), right=columns[1:])
