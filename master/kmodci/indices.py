"""How each kind of repository that targets.yml may name is read, and from where."""

from pathlib import Path

from .errors import KmodciError
from .kernelsat import KernelsAt
from .mirrors import system_keyrings, system_mirrors
from .repos.apt import AptIndex
from .repos.base import MACHINES, Index, Signed
from .repos.crawler import CrawlerIndex
from .repos.crawlerlist import list_name
from .repos.koji import KojiIndex
from .repos.listed import ListedIndex
from .repos.mirrored import MirroredIndex
from .repos.pacman import PacmanIndex
from .repos.pacmanarchive import PacmanArchive
from .repos.remembered import Remembered
from .repos.rpm import RpmIndex
from .repos.sources import SourceKernel, SourcesIndex
from .repositoriesat import (
    KERNEL_ORG,
    AptAt,
    CrawlerAt,
    KojiAt,
    MetalinkAt,
    MirrorlistAt,
    PacmanAt,
    RepositoryAt,
    RpmAt,
    RpmFolder,
    SignedAt,
    SourcesAt,
)
from .settings import Settings
from .targetsfile import Following


def mirrors_of(settings: Settings, name: str) -> tuple[str, ...]:
    """The base URLs of a mirror: of targets.yml, or else of the machine's apt. Raises KmodciError."""
    urls = settings.mirrors.get(name) or tuple(filter(None, [system_mirrors().get(name)]))
    if not urls:
        raise KmodciError(
            f"no mirror {name!r}: apt on this machine is not configured with one",
            hint=f"name it in targets.yml: `mirrors: {{{name}: https://...}}`",
        )
    return urls


def index_of(
    settings: Settings, entry: Following, repository: RepositoryAt, arch: str
) -> tuple[Index, tuple[str, ...]]:
    """How a repository is read, and the base URLs that it is read from. arch: of one that has each its own."""
    match repository:
        case AptAt():
            index = AptIndex(
                suite=repository.suite,
                components=repository.component,
                keyrings=(repository.keyring,) if repository.keyring else system_keyrings(entry.distro),
                check_valid_until=repository.check_valid_until,
            )
            return index, mirrors_of(settings, repository.mirror or entry.distro)
        case RpmAt():
            path = repository.rpm_for(arch)
            if "://" in path:
                return RpmIndex(signed=repository.signed, keyrings=keyrings_of(repository)), (path,)
            rpm = RpmIndex(path=path, signed=repository.signed, keyrings=keyrings_of(repository))
            return rpm, mirrors_of(settings, repository.mirror or entry.distro)
        case MirrorlistAt():
            return _of_list(repository, repository.mirrorlist, arch, is_metalink=False)
        case MetalinkAt():
            return _of_list(repository, repository.metalink, arch, is_metalink=True)

        case PacmanAt():
            mirror = repository.mirror
            return _pacman(settings, repository), (
                (mirror,) if "://" in mirror else mirrors_of(settings, mirror or entry.distro)
            )
        case KojiAt():
            koji = KojiIndex(
                hub=repository.hub,
                package=repository.koji,
                builds=repository.builds,
                newest=repository.newest,
                key=repository.key,
                remembered=_remembered(settings),
            )
            return koji, (repository.files,)
        case CrawlerAt():
            name = repository.distribution or list_name(entry.distro, entry.series)
            sources = settings.mirrors.get(KERNEL_ORG, ("",))[0]
            crawled = CrawlerIndex(distribution=name, kernel_org=sources, versions=repository.versions)
            return crawled, (repository.crawler,)
        case KernelsAt():
            # which says all of it
            return ListedIndex(groups=repository.groups(entry.arches)), ("targets.yml",)
        case SourcesAt():
            return SourcesIndex(kernels=tuple(SourceKernel(**dict(each)) for each in repository.sources)), (
                "targets.yml",
            )


def _of_list(repository: RpmFolder, url: str, arch: str, *, is_metalink: bool) -> tuple[Index, tuple[str, ...]]:
    rpm = RpmIndex(signed=repository.signed, keyrings=keyrings_of(repository))
    index = MirroredIndex(index=rpm, basearch=MACHINES[arch], is_metalink=is_metalink)
    return index, (url.replace("$basearch", index.basearch),)


def _pacman(settings: Settings, repository: PacmanAt) -> Index:
    if since := repository.archive_since:
        return PacmanArchive(repository=repository.pacman, since=since, remembered=_remembered(settings))
    keyrings = keyrings_of(repository) if repository.signed is Signed.INDEX else ()
    return PacmanIndex(repository=repository.pacman, keyrings=keyrings)


def _remembered(settings: Settings) -> Remembered:
    # made with the first file: to ask where repositories are changes nothing
    return Remembered(settings.state / "cache" / "listed")


def keyrings_of(repository: SignedAt) -> tuple[Path, ...]:
    """Whose signatures count for it."""
    return (repository.keyring,) if repository.keyring else ()
