"""Builds that passed `verify`, of real modules, ready to be published."""

from pathlib import Path

from kmodci.headers import parse_symvers
from kmodci.kernelconfig import parse_config
from kmodci.manifest import Built
from kmodci.model import Kernel, ModuleVersion, Package, Target
from kmodci.publishing import artifact
from kmodci.verify import verify

DATA = Path(__file__).parent.parent / "data" / "modules"
SERIES = {"6.1.0-50-amd64": "bookworm", "6.12.117+deb13-amd64": "trixie", "7.2.13+deb14-amd64": "sid"}


def built(release: str = "6.12.117+deb13-amd64", series: str = "") -> Built:
    files = {name: (DATA / release / name).read_bytes() for name in ("greet.ko", "hello-world.ko")}
    config = parse_config((DATA / release / "config").read_text())
    symvers = parse_symvers((DATA / release / "Module.symvers").read_text())
    facts = verify(files, release=release, arch="amd64", symvers=symvers, config=config)
    package = Package(
        name=f"linux-headers-{release}", version="1", arch="amd64", url="http://x", size=1, sha256="1" * 64
    )
    kernel = Kernel(
        target=Target(distro="debian", series=series or SERIES[release], arch="amd64"),
        release=release,
        version="6.12.117-1",
        flavour="amd64",
        toolchain="gcc-14",
        repository="trixie main",
        headers=(package,),
    )
    return Built(
        kernel=kernel,
        module=ModuleVersion(module="hello", version="1.0+x", origin="https://example.org/hello v1.0", digest="2" * 40),
        artifacts=tuple(artifact(fact, files[fact.file], config) for fact in facts),
        log=b"make: done\n" * 100,
        headers_sha256="3" * 64,
        toolchain="gcc-14",
        exact=True,
        image="841663418aaaa680",
        compiler="gcc-14 (Debian 14.2.0-19) 14.2.0",
        inputs="4" * 64,
        build_url="http://127.0.0.1:8010/#/builders/1/builds/1",
        started=1_700_000_000.25,
        finished=1_700_000_003.5,
        make_seconds=2.125,
    )
