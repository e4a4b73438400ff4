"""Where the configuration points: repositories with their mirrors and keys, the suites of images, the bucket."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from . import sources
from .awsfile import read_credentials
from .bootstrap import SuiteSource
from .bucket import Bucket
from .discovery import Repository
from .embedded import EmbeddedS3
from .errors import KmodciError
from .images import Recipe, natively, recipe
from .indices import index_of, keyrings_of, mirrors_of
from .mirrors import system_keyrings
from .model import Target
from .modulefile import DebianSource, GitSource, Module, PathSource, TarballSource
from .repos.base import Trust
from .repositoriesat import (
    AptAt,
    CrawlerAt,
    RepositoryAt,
    SignedAt,
)
from .sandbox import Limits
from .schema import Scope
from .selectors import matches
from .settings import Settings
from .sources import Source
from .targetsfile import Following


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
        name: Trust(signed=repository.signed, keyrings=keyrings_of(repository))
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
                if recipe.arch in (repository.arches or (recipe.arch,))
            ]
    raise KmodciError(f"{recipe.name}: {recipe.distro} {recipe.series} is none of targets in targets.yml")


def images_of(settings: Settings, recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """Every image that a host needs, by short name: of each toolchain one for each architecture that hosts run on."""
    hosts = [host.host(name) for name, host in settings.build_hosts.items()]
    arches = list(dict.fromkeys(host.arch for host in hosts))
    found = (natively(made, arch) for made in recipes.values() for arch in arches)
    return {made.short: made for made in found}


def recipes_of(settings: Settings) -> dict[str, Recipe]:
    """The images, by toolchain, of those that are enabled; what a build is named by, wherever it runs."""
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
    return Bucket(at.endpoint, at.bucket, read_credentials(at.credentials_file), region=at.region)


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
    if settings.database is not None and settings.database.is_server:
        return settings.database.whole
    return f"sqlite:///{settings.state / 'master' / 'state.sqlite'}"


def _in_scope(target: str, scope: Scope) -> bool:
    """Whether a selector of `target/release` may fit some kernel of this target."""
    return any(matches(target, [selector.split("/")[0]]) for selector in scope.kernels)


def _repository(
    settings: Settings, entry: Following, repository: RepositoryAt, name: str, arches: tuple[str, ...]
) -> Repository:
    index, mirrors = index_of(settings, entry, repository, arches[0])
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
