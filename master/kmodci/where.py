"""Where the configuration points: repositories with their mirrors and keys, the suites of images, the bucket."""

import configparser
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import sources
from .bootstrap import SuiteSource
from .bucket import Bucket, Credentials
from .discovery import Repository
from .distros import BUILD_ARCH
from .embedded import EmbeddedS3
from .errors import KmodciError, StoreError
from .images import Recipe, recipe
from .kernelsat import KernelsAt
from .mirrors import system_keyrings, system_mirrors
from .model import Target
from .modulefile import DebianSource, GitSource, Module, PathSource, TarballSource
from .paths import Paths
from .repos.apt import AptIndex
from .repos.base import MACHINES, Index, Signed, Trust
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
from .sandbox import Limits
from .schema import Scope
from .selectors import matches
from .settings import Settings
from .sources import Source
from .targetsfile import (
    KERNEL_ORG,
    AptAt,
    CrawlerAt,
    Following,
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


def mirrors_of(settings: Settings, name: str) -> tuple[str, ...]:
    """The base URLs of a mirror: of targets.yml, or else of the machine's apt. Raises KmodciError."""
    urls = settings.mirrors.get(name) or tuple(filter(None, [system_mirrors().get(name)]))
    if not urls:
        raise KmodciError(
            f"no mirror {name!r}: apt on this machine is not configured with one",
            hint=f"name it in targets.yml: `mirrors: {{{name}: https://...}}`",
        )
    return urls


def repositories(settings: Settings, scope: Scope) -> dict[str, Repository]:
    """Every repository that the scope needs, for kernels or for a module's package, by name."""
    packaged = packages(settings, scope)
    found: dict[str, Repository] = {}
    for entry in settings.targets:
        for repository in entry.repositories if entry.enabled else ():
            for name, targets in repository.named(entry.targets).items():
                arches = tuple(target.arch for target in targets if _in_scope(str(target), scope))
                if arches or name in packaged:
                    # a repository that is read for a package only is read for one architecture only
                    found[name] = _repository(settings, entry, repository, name, arches or (targets[0].arch,))
    return found


def followed(settings: Settings) -> dict[str, frozenset[Target]]:
    """What targets.yml follows, whatever the scope: the targets of each repository."""
    return {
        name: frozenset(targets)
        for entry in settings.targets
        for repository in entry.repositories
        for name, targets in repository.named(entry.targets).items()
        if entry.enabled
    }


def trusted(settings: Settings) -> dict[str, Trust]:
    """What has to vouch for the packages of each repository, by its name; of those, too, that are not followed now."""
    return {
        name: Trust(signed=repository.signed, keyrings=_keyrings(repository))
        if isinstance(repository, SignedAt)
        else Trust()
        for entry in settings.targets
        for repository in entry.repositories
        for name in repository.named(entry.targets)
    }


def packages(settings: Settings, scope: Scope) -> dict[str, dict[str, str]]:
    """The modules that are Debian packages: repository -> package -> module."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name, module in settings.modules.items():
        if isinstance(module.source, DebianSource) and matches(name, scope.modules):
            # the first of those that list the same for other architectures: it is the same package
            listing = {
                (entry.distro, entry.series, repository.component): each
                for entry in settings.targets
                for repository in reversed(entry.repositories)
                if isinstance(repository, AptAt) and repository.suite == module.source.suite and entry.enabled
                for each in repository.named(entry.targets)
            }
            for each in listing.values():
                found[each][module.source.debian] = name
    return dict(found)


def source_of(module: Module) -> Source:
    """Where a module's source is looked for, if no repository packages it. Raises KmodciError for one that is."""
    match module.source:
        case GitSource(git=url, ref=ref, tags=tags):
            return sources.GitSource(url=url, ref=ref or "HEAD", tags=tags or "")
        case TarballSource(tarball=url, sha256=sha256):
            return sources.TarballSource(url=url, sha256=sha256)
        case PathSource(path=path):
            return sources.FolderSource(path=path)
        case DebianSource(debian=package, suite=suite):
            raise KmodciError(f"{package} comes with {suite} and is looked for there")


def suites_of(settings: Settings, recipe: Recipe) -> list[SuiteSource]:
    """The suites that a toolchain image is made of: those of its series, but for backports and experimental."""
    for entry in settings.targets:
        if (entry.distro, entry.series) == (recipe.distro, recipe.series):
            return [
                SuiteSource(
                    url=mirrors_of(settings, repository.mirror or entry.distro)[0],
                    suite=repository.suite,
                    components=repository.component,
                    keyring=repository.keyring or system_keyrings(entry.distro)[0],
                    check_valid_until=repository.check_valid_until,
                )
                for repository in entry.repositories
                if isinstance(repository, AptAt) and repository.suite in (entry.series, f"{entry.series}-security")
                # images run on amd64
                if BUILD_ARCH in (repository.arches or (BUILD_ARCH,))
            ]
    raise KmodciError(f"{recipe.name}: {recipe.distro} {recipe.series} is none of targets in targets.yml")


def recipes_of(settings: Settings) -> dict[str, Recipe]:
    """The images, by toolchain, of those that are enabled."""
    return {
        name: recipe(name, distro=toolchain.distro, series=toolchain.series)
        for name, toolchain in settings.toolchains.items()
        if toolchain.enabled
    }


def limits_of(settings: Settings, module: str = "") -> Limits:
    """What a build of this module may use, or what any may."""
    limits = settings.limits_of(module)
    return Limits(
        memory=limits.memory,
        disk=limits.disk,
        processes=limits.processes,
        seconds=int(limits.time),
        output=limits.output,
    )


def bucket_of(settings: Settings) -> Bucket:
    """The configured bucket, or the embedded one. Raises StoreError if its credentials cannot be read."""
    if settings.bucket is None:
        return embedded(settings).bucket()
    at = settings.bucket
    parser = configparser.ConfigParser()
    try:
        parser.read_string(at.credentials_file.read_text(), source=str(at.credentials_file))
        keys = parser["default"]
        credentials = Credentials(access_key=keys["aws_access_key_id"], secret=keys["aws_secret_access_key"])
    except (OSError, KeyError, configparser.Error) as error:
        # the error's own text may quote a line of the file, and so a secret
        raise StoreError(
            f"{at.credentials_file}: no credentials can be read from it ({type(error).__name__})",
            hint="it wants a section [default] with aws_access_key_id and aws_secret_access_key",
        ) from None
    return Bucket(at.endpoint, at.bucket, credentials, region=at.region)


def embedded(settings: Settings) -> EmbeddedS3:
    """The embedded S3 server; it listens one port above the web interface."""
    return EmbeddedS3(settings.state, port=settings.web.port + 1)


@contextmanager
def open_bucket(settings: Settings) -> Iterator[Bucket]:
    """The bucket, answering, for a command that needs no farm to run. Raises StoreError."""
    if settings.bucket is not None:
        yield bucket_of(settings)
    else:
        with embedded(settings).available() as bucket:
            yield bucket


def buildbot_database(settings: Settings) -> str:
    """Buildbot's own: the configured one, or an SQLite file beside ours."""
    if settings.database is not None and not settings.database.url.startswith("sqlite"):
        return settings.database.url
    return f"sqlite:///{settings.state / 'master' / 'state.sqlite'}"


def _in_scope(target: str, scope: Scope) -> bool:
    """Whether a selector of `target/release` may fit some kernel of this target."""
    return any(matches(target, [selector.split("/")[0]]) for selector in scope.kernels)


def _repository(
    settings: Settings, entry: Following, repository: RepositoryAt, name: str, arches: tuple[str, ...]
) -> Repository:
    index, mirrors = _index(settings, entry, repository, arches[0])
    return Repository(
        name=name,
        distro=entry.distro,
        series=entry.series,
        arches=arches,
        index=index,
        mirrors=mirrors,
        compiler=entry.compiler,
        releases=repository.releases if isinstance(repository, CrawlerAt) else ("*",),
    )


def _index(settings: Settings, entry: Following, repository: RepositoryAt, arch: str) -> tuple[Index, tuple[str, ...]]:
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
                return RpmIndex(signed=repository.signed, keyrings=_keyrings(repository)), (path,)
            rpm = RpmIndex(path=path, signed=repository.signed, keyrings=_keyrings(repository))
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
            return CrawlerIndex(distribution=name, kernel_org=sources), (repository.crawler,)
        case KernelsAt():
            # which says all of it
            return ListedIndex(groups=repository.groups(entry.arches)), ("targets.yml",)
        case SourcesAt():
            return SourcesIndex(kernels=tuple(SourceKernel(**dict(each)) for each in repository.sources)), (
                "targets.yml",
            )


def _of_list(repository: RpmFolder, url: str, arch: str, *, is_metalink: bool) -> tuple[Index, tuple[str, ...]]:
    rpm = RpmIndex(signed=repository.signed, keyrings=_keyrings(repository))
    index = MirroredIndex(index=rpm, basearch=MACHINES[arch], is_metalink=is_metalink)
    return index, (url.replace("$basearch", index.basearch),)


def _pacman(settings: Settings, repository: PacmanAt) -> Index:
    if since := repository.archive_since:
        return PacmanArchive(repository=repository.pacman, since=since, remembered=_remembered(settings))
    keyrings = _keyrings(repository) if repository.signed is Signed.INDEX else ()
    return PacmanIndex(repository=repository.pacman, keyrings=keyrings)


def _remembered(settings: Settings) -> Remembered:
    return Remembered(Paths(settings.state).cache("listed"))


def _keyrings(repository: SignedAt) -> tuple[Path, ...]:
    return (repository.keyring,) if repository.keyring else ()
