"""Where the configuration points: repositories with their mirrors and keys, the suites of images, the bucket."""

import configparser
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from . import sources
from .bootstrap import SuiteSource
from .bucket import Bucket, Credentials
from .discovery import Repository
from .embedded import EmbeddedS3
from .errors import KmodciError, StoreError
from .images import Recipe, recipe
from .mirrors import system_keyrings, system_mirrors
from .model import Target
from .modulefile import DebianSource, GitSource, Module, PathSource, TarballSource
from .repos.apt import AptIndex
from .repos.base import Index
from .schema import Scope
from .selectors import matches
from .settings import Settings
from .sources import Source
from .targetsfile import AptAt, Following, RepositoryAt


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
        arches = tuple(target.arch for target in entry.targets if _in_scope(str(target), scope))
        for repository in entry.repositories:
            here = _of(repository, arches)
            if entry.enabled and (here or repository.name in packaged):
                # a repository that is read for a package only is read for one architecture only
                here = here or _of(repository, entry.arches)[:1]
                found[repository.name] = _repository(settings, entry, repository, here)
    return found


def followed(settings: Settings) -> dict[str, frozenset[Target]]:
    """What targets.yml follows, whatever the scope: the targets of each repository."""
    return {
        repository.name: frozenset(entry.targets)
        for entry in settings.targets
        for repository in entry.repositories
        if entry.enabled
    }


def packages(settings: Settings, scope: Scope) -> dict[str, dict[str, str]]:
    """The modules that are Debian packages: repository -> package -> module."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name, module in settings.modules.items():
        if isinstance(module.source, DebianSource) and matches(name, scope.modules):
            # the first of those that list the same for other architectures: it is the same package
            listing = {
                (entry.distro, entry.series, repository.component): repository.name
                for entry in settings.targets
                for repository in reversed(entry.repositories)
                if isinstance(repository, AptAt) and repository.suite == module.source.suite and entry.enabled
            }
            for repository_name in listing.values():
                found[repository_name][module.source.debian] = name
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
            ]
    raise KmodciError(f"{recipe.name}: {recipe.distro} {recipe.series} is none of targets in targets.yml")


def recipes_of(settings: Settings) -> dict[str, Recipe]:
    """The images, by toolchain."""
    return {
        name: recipe(name, distro=toolchain.distro, series=toolchain.series)
        for name, toolchain in settings.toolchains.items()
    }


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


def _of(repository: RepositoryAt, arches: Sequence[str]) -> tuple[str, ...]:
    """Those of the architectures that the repository is read for."""
    only = repository.arches if isinstance(repository, AptAt) else ()
    return tuple(arch for arch in arches if not only or arch in only)


def _in_scope(target: str, scope: Scope) -> bool:
    """Whether a selector of `target/release` may fit some kernel of this target."""
    return any(matches(target, [selector.split("/")[0]]) for selector in scope.kernels)


def _repository(settings: Settings, entry: Following, repository: RepositoryAt, arches: tuple[str, ...]) -> Repository:
    return Repository(
        name=repository.name,
        distro=entry.distro,
        series=entry.series,
        arches=arches,
        index=_index(repository, entry.distro),
        mirrors=mirrors_of(settings, repository.mirror or entry.distro),
        compiler=entry.compiler,
    )


def _index(repository: RepositoryAt, distro: str) -> Index:
    match repository:
        case AptAt():
            return AptIndex(
                suite=repository.suite,
                components=repository.component,
                keyrings=(repository.keyring,) if repository.keyring else system_keyrings(distro),
                check_valid_until=repository.check_valid_until,
            )
