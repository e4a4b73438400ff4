"""What `caseruns` is made of: repositories of tiny kernels, looks at them, and how an answer is said."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from kmodci.discovery import Look, Repository, look
from kmodci.errors import KmodciError
from kmodci.fetch import Fetcher
from kmodci.model import Kernel
from kmodci.repos.apt import AptIndex
from kmodci.repos.crawler import CrawlerIndex
from kmodci.settings import load
from kmodci.store import Store
from kmodci.watch import Watch
from kmodci.where import packages, repositories

from .aptrepo import AptRepo, kernel_packages


def debian(folder: Path, *kernels: str, version: str = "6.1.199-1") -> AptRepo:
    """A repository with these kernels. version: of all their packages."""
    repo = AptRepo(folder)
    for release in kernels:
        for deb in kernel_packages(folder / "debs" / release, release, version=version):
            repo.add(deb)
    repo.publish()
    return repo


def apt(repo: AptRepo) -> Repository:
    return Repository(
        name=f"{repo.suite} main",
        distro="debian",
        series=repo.suite,
        arches=repo.arches,
        index=AptIndex(suite=repo.suite, keyrings=(repo.keyring,)),
        mirrors=(repo.url,),
    )


def listing(
    folder: Path, entries: Sequence[Mapping[str, object]], arch: str, distribution: str = "debian"
) -> Repository:
    path = folder / "list.json"
    path.write_text(json.dumps({distribution: entries}))
    return Repository(
        name="list",
        distro=distribution,
        series="bookworm",
        arches=(arch,),
        index=CrawlerIndex(distribution=distribution),
        mirrors=(str(path),),
        compiler="gcc-12",
    )


def looked(repository: Repository, known: str = "") -> Look:
    return look(repository, Fetcher(timeout=5, retries=0), known_digest=known, now=datetime.now(UTC))


def after(folder: Path, change: Callable[[AptRepo], None]) -> str:
    """What a farm says and knows when something happened to a repository that had two kernels."""
    config = folder / "config"
    config.mkdir()
    with debian(folder, "6.1.0-98-amd64", "6.1.0-99-amd64") as repo:
        files = {
            "kmodci": {},
            "known-failures": {"known_failures": []},
            "modules": {"modules": {"a": {"source": {"path": "a"}, "version": "1"}}},
            "targets": {
                "mirrors": {"debian": repo.url},
                "toolchains": {"gcc-12": {"distro": "debian", "series": "bookworm"}},
                "targets": [
                    {
                        "distro": "debian",
                        "series": "bookworm",
                        "arches": ["amd64"],
                        "repositories": [{"suite": "bookworm", "keyring": str(repo.keyring)}],
                    }
                ],
            },
        }
        for name, content in files.items():
            (config / f"{name}.yml").write_text(json.dumps(content))
        settings = load(config)
        scope = settings.find_scope()
        store = Store("sqlite://")
        store.create()
        watch = Watch(
            settings=settings,
            store=store,
            fetcher=Fetcher(retries=0),
            repositories=repositories(settings, scope),
            packages=packages(settings, scope),
        )
        [name] = watch.repositories
        watch.remember(watch.look(name))
        change(repo)
        said = "an error" if fault(lambda: watch.look(name)) else "no error"
        return f"{said}; {len(store.kernels())} kernels are known as before"


def fault(action: Callable[[], object]) -> str:
    """What went wrong; empty if nothing did."""
    try:
        action()
    except KmodciError as fault:
        return fault.brief
    return ""


def told(found: Look) -> str:
    """`2 kernels`, `7 kernels, 1 problem told`"""
    problems = f", {len(found.problems)} problem{'s' if len(found.problems) > 1 else ''} told" if found.problems else ""
    return f"{len(found.kernels)} kernel{'s' if len(found.kernels) != 1 else ''}{problems}"


def releases(kernels: tuple[Kernel, ...]) -> str:
    return ", ".join(sorted(kernel.release for kernel in kernels)) or "none"
