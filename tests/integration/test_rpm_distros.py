"""One farm that follows the distributions of rpm packages beside Red Hat's family: a real kernel in the layout of each,
in a repository as its vendor makes it, goes all the way into the bucket."""

import hashlib
import lzma
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from benchmarks.rpmrepo import RpmRepo, make_rpm, sign_rpm
from kmodci.elf import parse
from kmodci.manifest import IndexEntry
from support.farm import LiveFarm, live_farm, source
from support.headertrees import flat_tree, in_memory, split_trees
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(600)]

# what the vendors' compilers call themselves; their numbers are those of the compilers that built these kernels
GCC_12 = "gcc (GCC) 12.2.0 20220819 (Vendor 12.2.0-1)"
GCC_14 = "gcc (GCC) 14.2.0 20240801 (Vendor 14.2.0-1)"


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kernel of a distribution, in the distribution's repository."""

    distro: str
    series: str
    release: str
    """as `uname -r` prints it"""
    packages: tuple[str, ...]
    repo: RpmRepo
    place: Mapping[str, object]
    """of the repository, for targets.yml"""
    toolchain: str = "gcc-12"
    """that its kernel was built with; the series' default is another"""

    @property
    def target(self) -> Mapping[str, object]:
        """For targets.yml."""
        keyring = {} if self.place.get("signed") == "no" else {"keyring": str(self.repo.keyring)}
        return {
            "distro": self.distro,
            "series": self.series,
            "arches": ["amd64"],
            "compiler": "gcc-7",
            "repositories": [{"name": "core", **keyring, **self.place}],
        }

    @property
    def build_id(self) -> str:
        return f"hello/{self.distro}-{self.series}-amd64/{self.release}"


def amazon(folder: Path, repo: RpmRepo, kernel: RealKernel) -> Family:
    """A package whose name has the series, outside of the repository's folder, which a list names."""
    release = "6.12.58-82.121.amzn2023.x86_64"
    flat_tree(kernel, folder / f"root/usr/src/kernels/{release}", release, compiler=GCC_14)
    rpm = make_rpm(folder, "kernel6.12-devel", "6.12.58", "82.121.amzn2023", tree=folder / "root", payload="zstd")
    repo.add(sign_rpm(rpm, repo.key))
    repo.publish("--location-prefix", "../../../blobstore/ab")
    shutil.move(repo.folder / "Packages", repo.root / "amzn/blobstore/ab/Packages")
    (repo.root / "amzn/mirror.list").write_text(f"{repo.url}/none/\n{repo.url}/amzn/core/guid/$basearch/\n")
    return Family(
        distro="amzn",
        series="2023",
        release=release,
        packages=("kernel6.12-devel",),
        repo=repo,
        place={"mirrorlist": f"{repo.url}/amzn/mirror.list", "signed": "packages"},
        toolchain="gcc-14",
    )


def oracle(folder: Path, repo: RpmRepo, kernel: RealKernel) -> Family:
    """Oracle's own kernel."""
    release = "5.15.0-312.187.5.3.el9uek.x86_64"
    flat_tree(kernel, folder / f"root/usr/src/kernels/{release}", release, compiler=GCC_12)
    rpm = make_rpm(folder, "kernel-uek-devel", "5.15.0", "312.187.5.3.el9uek", tree=folder / "root", payload="zstd")
    repo.add(sign_rpm(rpm, repo.key))
    repo.publish()
    place = {"rpm": f"{repo.url}/OL9/UEKR7/$basearch", "signed": "packages"}
    return Family(distro="ol", series="9", release=release, packages=("kernel-uek-devel",), repo=repo, place=place)


def opensuse(folder: Path, repo: RpmRepo, kernel: RealKernel) -> Family:
    """Two packages with two trees, in a repository with a signed index. They were built another number of times."""
    base, release = "6.4.0-150600.23.47", "6.4.0-150600.23.47-default"
    _suse(folder, repo, kernel, f"linux-{base}", "default", release)
    own = make_rpm(folder, "kernel-default-devel", "6.4.0", "150600.23.47.2", tree=folder / "own", payload="zstd")
    sources = make_rpm(
        folder, "kernel-devel", "6.4.0", "150600.23.47.1", arch="noarch", tree=folder / "sources", payload="zstd"
    )
    for rpm in (own, sources):
        repo.add(rpm)
    repo.publish(compression="zstd", sign=True)
    return Family(
        distro="opensuse",
        series="15.6",
        release=release,
        packages=("kernel-default-devel", "kernel-devel"),
        repo=repo,
        place={"rpm": f"{repo.url}/leap/15.6/oss", "signed": "index"},
    )


def sles(folder: Path, repo: RpmRepo, kernel: RealKernel) -> Family:
    """A kernel of a branch, with the branch's own sources; found through a metalink, one mirror of which is behind."""
    base, release = "6.4.0-150600.8.20", "6.4.0-150600.8.20-azure"
    _suse(folder, repo, kernel, f"linux-{base}-azure", "azure", release)
    shutil.copytree(repo.folder, repo.root / "behind")
    for name, arch, tree in (("kernel-azure-devel", "x86_64", "own"), ("kernel-devel-azure", "noarch", "sources")):
        repo.add(make_rpm(folder, name, "6.4.0", "150600.8.20.1", arch=arch, tree=folder / tree, payload="zstd"))
    repo.publish(compression="xz")
    sha256 = hashlib.sha256((repo.repodata / "repomd.xml").read_bytes()).hexdigest()
    (repo.root / "sles.meta").write_text(
        '<metalink xmlns="http://www.metalinker.org/"><files><file name="repomd.xml">'
        f'<verification><hash type="sha256">{sha256}</hash></verification><resources>'
        f'<url preference="100">{repo.url}/behind/repodata/repomd.xml</url>'
        f'<url preference="50">{repo.url}/{repo.path}/repodata/repomd.xml</url></resources></file></files></metalink>'
    )
    return Family(
        distro="sles",
        series="15.6",
        release=release,
        packages=("kernel-azure-devel", "kernel-devel-azure"),
        repo=repo,
        place={"metalink": f"{repo.url}/sles.meta", "signed": "no", "reason": "a copy in the house"},
    )


def photon(folder: Path, repo: RpmRepo, kernel: RealKernel) -> Family:
    """A folder with the flavour's name in it twice."""
    release = "5.10.214-2.ph4-rt"
    flat_tree(kernel, folder / f"root/usr/src/linux-rt-headers-{release}", release, compiler=GCC_12)
    rpm = make_rpm(folder, "linux-rt-devel", "5.10.214", "2.ph4", tree=folder / "root", payload="zstd")
    repo.add(sign_rpm(rpm, repo.key))
    repo.publish(database=True)
    repo.without_xml()
    place = {"rpm": f"{repo.url}/photon/updates_4.0_$basearch", "signed": "packages"}
    return Family(distro="photon", series="4.0", release=release, packages=("linux-rt-devel",), repo=repo, place=place)


def _suse(folder: Path, repo: RpmRepo, kernel: RealKernel, name: str, flavour: str, release: str) -> None:
    # beside each other, as on a host; then each into its package
    src = folder / "usr/src"
    split_trees(kernel, src / f"{name}-obj/x86_64/{flavour}", src / name, release, compiler=GCC_12)
    for tree, part in (("own", f"{name}-obj"), ("sources", name)):
        (folder / tree / "usr/src").mkdir(parents=True)
        shutil.move(src / part, folder / tree / "usr/src" / part)


MAKERS = {
    amazon: ("amzn/core/guid/x86_64", "new-cloud"),
    oracle: ("OL9/UEKR7/x86_64", "old-cloud"),
    opensuse: ("leap/15.6/oss", "old-cloud"),
    sles: ("sles/update", "old-cloud"),
    photon: ("photon/updates_4.0_x86_64", "old-cloud"),
}


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory, kernels: dict[str, RealKernel]) -> Iterator[dict[str, Family]]:
    """Each with a repository that is served."""
    with ExitStack() as stack:
        memory = stack.enter_context(in_memory())
        made = {}
        for maker, (path, kernel) in MAKERS.items():
            repo = stack.enter_context(RpmRepo(tmp_path_factory.mktemp(maker.__name__), path=path))
            made[maker.__name__] = maker(memory / maker.__name__, repo, kernels[kernel])
            shutil.rmtree(memory / maker.__name__)
        yield made


@pytest.fixture(scope="module")
def farm(folder: Path, families: dict[str, Family]) -> Iterator[LiveFarm]:
    targets = [family.target for family in families.values()]
    with live_farm(folder, None, {"hello": source("hello")}, targets=targets) as made:
        made.up()
        yield made


@pytest.mark.parametrize("name", [maker.__name__ for maker in MAKERS])
def test_a_kernel_of_each_goes_all_the_way(farm: LiveFarm, families: dict[str, Family], name: str) -> None:
    family = families[name]
    outcome = farm.await_built(family.build_id, seconds=300)
    key = f"index/hello/1.0/{family.distro}/amd64/{family.release}.json"
    data = farm.bucket.get(key)
    assert data is not None
    entry = IndexEntry.model_validate_json(data)
    assert (entry.release, entry.series, entry.manifest) == (family.release, family.series, outcome.manifest)
    [file] = entry.files
    content = farm.bucket.get(file.key)
    assert content is not None
    ko = lzma.decompress(content) if file.name.endswith(".xz") else content
    assert parse(ko).info("vermagic").split()[0] == family.release
    manifest = farm.manifest(outcome)
    assert (manifest.toolchain, manifest.exact) == (family.toolchain, True)
    assert tuple(package.name for package in manifest.packages) == family.packages
    assert farm.store.repository_state(f"{family.distro}-{family.series}-amd64 core").problems == ()
