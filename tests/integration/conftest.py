"""What the tests of a whole farm share: real kernels, and repositories that publish them."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo
from support import kubernetes
from support.cluster import Cluster
from support.realkernels import RealKernel, newest

# What starts a test run in the background may have it ignore Ctrl-C, and what is started here would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def kernels() -> dict[str, RealKernel]:
    """Real kernels of Debian: `old` and `old-cloud` are built with gcc-12, `new` and `new-cloud` with gcc-14."""
    old, new = newest("bookworm", "amd64", "cloud-amd64"), newest("trixie", "amd64", "cloud-amd64")
    return {
        "old": old["amd64"],
        "old-cloud": old["cloud-amd64"],
        "new": new["amd64"],
        "new-cloud": new["cloud-amd64"],
    }


@pytest.fixture(scope="session")
def publish(kernels: dict[str, RealKernel]) -> Callable[..., None]:
    """Adds kernels to a repository and publishes it."""

    def publish(repo: AptRepo, *names: str, **more: object) -> None:
        for name in names:
            for deb in kernels[name].debs:
                repo.add(deb)
        repo.publish(**more)

    return publish


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AptRepo]:
    """An empty repository, served; one per module."""
    with AptRepo(tmp_path_factory.mktemp("repo"), suite="test", arches=("amd64",)) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short, because a farm's socket is in it."""
    return tmp_path_factory.mktemp("farm")


@pytest.fixture(scope="session")
def kubernetes_programs(pytestconfig: pytest.Config) -> Path:
    """What `Cluster` starts; the first test that needs them waits for the compiler (`timeout(1800)`)."""
    if not kubernetes.compiled():
        # a run that seems to stand still would be ended by whoever waits for it
        with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\ncompiling Kubernetes {kubernetes.VERSION}, once on this machine: some minutes", flush=True)
    return kubernetes.programs()


@pytest.fixture(scope="module")
def cluster(kubernetes_programs: Path) -> Iterator[Cluster]:
    """A cluster whose pods reach nobody; one per module."""
    with Cluster() as made:
        yield made
