"""The configuration: four files read, each checked by itself (`schema`, `modulefile`), then all of them together."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from .discovery import kernels_of
from .distros import DISTROS, Place
from .errors import NotFound, SecretUnusable, SettingsError
from .images import PYTHONS, worker
from .kernelsat import KernelsAt
from .model import BUILD_ARCH
from .modulefile import DebianSource, ModulesFile
from .repos.crawler import ARCH
from .repositoriesat import KERNEL_ORG, AptAt, CrawlerAt, PacmanAt, RpmAt
from .schema import FarmFile, KnownFailuresFile, LimitsPerBuild, Scope
from .secretfile import check_private
from .selectors import matches, matching_none
from .targetsfile import Following, TargetsFile
from .yamlfile import Document, Mistake, Section, Where, read, suggestion, validate

FILES = ("kmodci.yml", "targets.yml", "modules.yml", "known-failures.yml")
PUBLIC_FILES = "kmodci/files"
"""where the farm's own web server has the bucket, below its address"""
SectionT = TypeVar("SectionT", bound=Section)


class Settings(FarmFile, TargetsFile, ModulesFile, KnownFailuresFile):
    """All that the configuration says."""

    folder: Path

    def find_scope(self, name: str = "") -> Scope:
        """The scope of that name, or the one that the farm works on. Raises NotFound."""
        name = name or self.scope
        if name not in self.scopes:
            near = suggestion(name, self.scopes)
            raise NotFound(f"no scope {name!r}{near}", hint=f"kmodci.yml has: {', '.join(sorted(self.scopes))}")
        return self.scopes[name]

    def limits_of(self, module: str) -> LimitsPerBuild:
        """What a build of this module may use; for an unknown one, what any may."""
        return self.modules[module].limits.over(self.limits) if module in self.modules else self.limits

    def labels_of(self, module: str) -> tuple[str, ...]:
        """What a host must have for this module to be built there."""
        return self.modules[module].labels if module in self.modules else ()

    @property
    def public_bucket(self) -> str:
        """Where nodes read the bucket: the key of an object, after a `/`, makes its URL."""
        if self.bucket is not None and self.bucket.public is not None:
            return self.bucket.public
        return f"{self.web.address}{PUBLIC_FILES}"

    @property
    def database_url(self) -> str:
        """SQLite in the state folder, unless the configuration names another."""
        return self.database.whole if self.database else f"sqlite:///{self.state / 'kmodci.sqlite'}"

    @property
    def tokens_file(self) -> Path:
        """Who may ask the HTTP API for builds."""
        return self.api.tokens or self.state / "tokens.json"

    @property
    def users_file(self) -> Path:
        """Who may log in with a password."""
        return users_file(self)


def load(folder: Path) -> Settings:
    """Reads the configuration. Raises SettingsError with every mistake that is in it."""
    if not folder.is_dir():
        raise SettingsError([f"{folder}: no such folder (it should hold {', '.join(FILES)}; say --config)"])
    documents = {name: read(folder / name) for name in FILES}
    mistakes: dict[str, list[Mistake]] = {name: list(document.mistakes) for name, document in documents.items()}
    farm = _section(documents["kmodci.yml"], FarmFile, mistakes["kmodci.yml"])
    targets = _section(documents["targets.yml"], TargetsFile, mistakes["targets.yml"])
    modules = _section(documents["modules.yml"], ModulesFile, mistakes["modules.yml"])
    failures = _section(documents["known-failures.yml"], KnownFailuresFile, mistakes["known-failures.yml"])
    # Half a configuration can still be looked at: one run tells as much as can be told.
    together = {
        "kmodci.yml": farm and _in_farm(farm, targets, modules),
        "targets.yml": targets and _in_targets(targets),
        "modules.yml": modules and targets and _in_modules(modules, targets, farm),
        "known-failures.yml": failures and modules and targets and _in_failures(failures, modules, targets),
    }
    for name, found in together.items():
        mistakes[name] += [documents[name].mistake(where, what) for where, what in found or ()]
    problems = [problem for name in FILES for problem in documents[name].told(mistakes[name])]
    if problems or not (farm and targets and modules and failures):  # a part is None only where there are problems
        raise SettingsError(problems)
    parts = (farm, targets, modules, failures)
    values = {name: getattr(part, name) for part in parts for name in type(part).model_fields}
    return Settings.model_construct(folder=folder, **values)


_SAY_WHO = (
    "say in login: who may read and how people log in (login: {read: login}, with the users of `kmodci user`), "
    "or listen on 127.0.0.1"
)
_STABLE = " or ".join(PYTHONS)
Found = Iterator[tuple[Where, str]]


def _section(document: Document, model: type[SectionT], mistakes: list[Mistake]) -> SectionT | None:
    if document.data is None and document.mistakes:
        return None
    section, found = validate(document, model)
    mistakes += found
    return section


def users_file(farm: FarmFile) -> Path:
    return farm.login.users or farm.state / "users.json"


def _in_farm(farm: FarmFile, targets: TargetsFile | None, modules: ModulesFile | None) -> Found:
    yield from _in_login(farm)
    if farm.scope not in farm.scopes:
        yield ("scope",), f"no scope {farm.scope!r} in scopes{suggestion(farm.scope, farm.scopes)}"
    for name, scope in farm.scopes.items():
        for index, selector in enumerate(scope.kernels):
            yield from _of_no_target(("scopes", name, "kernels", index), selector, targets, parts=2)
        for index, pattern in enumerate(scope.modules):
            if modules and not any(matches(module, [pattern]) for module in modules.modules):
                near = suggestion(pattern, modules.modules)
                yield ("scopes", name, "modules", index), f"no module {pattern!r} in modules.yml{near}"
    if farm.hosts and "engine" in farm.model_fields_set:
        yield ("engine",), "engine: is short for a single host, and there are hosts: say it there"
    places: dict[str, str] = {}
    for name, host in farm.hosts.items():
        place = f"{host.kubernetes.server}/{host.kubernetes.namespace}" if host.kubernetes else host.docker_host
        if (other := places.setdefault(place, name)) != name:
            yield ("hosts", name), f"{name} is the same {'namespace' if host.kubernetes else 'engine'} as {other}"
    if targets:
        yield from _in_hosts(farm, targets)


def _in_hosts(farm: FarmFile, targets: TargetsFile) -> Found:
    """What no host can build."""
    hosts = [host.host(name) for name, host in farm.build_hosts.items()]
    engines = {host.arch for host in hosts if not host.cluster}
    for host in hosts:
        if host.arch not in engines:
            what = f"there has to be a Docker engine of {host.arch} too: what pods need is prepared there"
            yield ("hosts", host.name), what
    for arch in sorted({arch for entry in targets.targets if entry.enabled for arch in entry.arches}):
        if all(host.way(arch) is None for host in hosts):
            yield ("hosts",), f"no host builds for {arch}, which targets.yml follows"
    for host in hosts:
        if host.arch != BUILD_ARCH and not worker(host.arch, [(each.distro, each.series) for each in targets.targets]):
            what = f"its worker is made of Debian's python3 for {host.arch}, and targets.yml has none of {_STABLE}"
            yield ("hosts", host.name), what


def _in_login(farm: FarmFile) -> Found:
    if not farm.web.is_local and "login" not in farm.model_fields_set:
        yield ("web", "host"), f"web.host: {farm.web.host} can be reached from other machines: {_SAY_WHO}"
    if farm.login.proxy and not farm.web.proxies:
        yield ("login", "proxy"), "login.proxy: that header is believed from web.proxies alone, and there are none"
    try:
        check_private(users_file(farm))
    except SecretUnusable as error:
        yield ("login",), f"{error.brief} ({error.hint})"
    except OSError:
        pass  # it is not there yet, or not for who asks


def _in_targets(targets: TargetsFile) -> Found:
    followed: set[tuple[str, str]] = set()
    used: set[str] = set()
    names: set[str] = set()
    for at, entry in enumerate(targets.targets):
        if (entry.distro, entry.series) in followed:
            yield ("targets", at), f"{entry.distro} {entry.series} is here twice: put its repositories under one entry"
        followed.add((entry.distro, entry.series))
        for index, repository in enumerate(entry.repositories):
            where: Where = ("targets", at, "repositories", index)
            if isinstance(repository, AptAt | RpmAt | PacmanAt):
                used.add(repository.mirror or entry.distro)
            for name in repository.named(entry.targets):
                if name in names:
                    yield where, f"{name} is here twice"
                names.add(name)
            if isinstance(repository, CrawlerAt):
                used.add(KERNEL_ORG)
                yield from _in_list(where, repository, entry)
            elif isinstance(repository, KernelsAt):
                yield from _in_kernels(where, repository, entry)
    for name, toolchain in targets.toolchains.items():
        if (toolchain.distro, toolchain.series) not in followed:
            near = suggestion(toolchain.series, [series for _, series in followed])
            yield ("toolchains", name), f"{toolchain.distro} {toolchain.series} is none of targets:{near}"
    for name in targets.mirrors:
        if name not in used:
            yield ("mirrors", name), f"no repository uses this mirror{suggestion(name, used)}"


def _in_list(where: Where, repository: CrawlerAt, entry: Following) -> Found:
    if not entry.compiler:
        what = f"{entry.distro} {entry.series} needs compiler: gcc-N, which a list does not say of its kernels"
        yield where, what
    if len(entry.arches) > 1 and ARCH not in repository.crawler:
        yield (*where, "crawler"), f"there is a list for each architecture: write {ARCH} where they differ"


def _in_kernels(where: Where, repository: KernelsAt, entry: Following) -> Found:
    """Kernels whose headers are of others than is said: told here, because it can be, and not when they are built."""
    distro = DISTROS[entry.distro]
    place = Place(
        distro=entry.distro,
        series=entry.series,
        repository=repository.name,
        arches=entry.arches,
        compiler=entry.compiler,
    )
    known: set[str] = set()
    for index, (kernel, group) in enumerate(zip(repository.kernels, repository.groups(entry.arches), strict=True)):
        found = kernels_of(group, distro, place)
        made = {str(each): f"{each.release} {each.version}" for each in found.kernels}
        if not made:
            yield (*where, "kernels", index), "; ".join(found.problems)
        elif [*made.values()] != [f"{kernel.release} {kernel.version}"]:
            others = ", ".join(sorted(made.values()))
            yield (*where, "kernels", index), f"its headers are of {others}, not of {kernel.release} {kernel.version}"
        for name in made.keys() & known:
            yield (*where, "kernels", index), f"{name} is here twice"
        known |= made.keys()


def _in_modules(modules: ModulesFile, targets: TargetsFile, farm: FarmFile | None) -> Found:
    suites = {
        repository.suite
        for entry in targets.targets
        for repository in entry.repositories
        if isinstance(repository, AptAt) and entry.enabled
    }
    labels = [frozenset(host.labels) for host in farm.build_hosts.values()] if farm else []
    for name, module in modules.modules.items():
        if labels and not any(each.issuperset(module.labels) for each in labels):
            near = suggestion(module.labels[0], frozenset().union(*labels))
            yield ("modules", name, "labels"), f"no host of kmodci.yml has {' and '.join(module.labels)}{near}"
        if isinstance(module.source, DebianSource) and module.source.suite not in suites:
            near = suggestion(module.source.suite, suites) or f" (it has: {', '.join(sorted(suites))})"
            yield ("modules", name, "source", "suite"), f"targets.yml follows no suite {module.source.suite!r}{near}"
        choices: Mapping[str, tuple[str, ...]] = {"include": module.kernels.include, "exclude": module.kernels.exclude}
        for key, selectors in choices.items():
            for index, selector in enumerate(selectors):
                yield from _of_no_target(("modules", name, "kernels", key, index), selector, targets, parts=2)


def _in_failures(failures: KnownFailuresFile, modules: ModulesFile, targets: TargetsFile) -> Found:
    for at, failure in enumerate(failures.known_failures):
        where: Where = ("known_failures", at, "builds")
        if matching_none(failure.builds, list(modules.modules), part=0, parts=3):
            near = suggestion(failure.builds.split("/")[0], modules.modules)
            yield where, f"{failure.builds!r} fits no module of modules.yml{near}"
        yield from _of_no_target(where, failure.builds, targets, parts=3)


def _of_no_target(where: Where, selector: str, targets: TargetsFile | None, *, parts: int) -> Found:
    if targets is None:
        return
    names = [str(target) for entry in targets.targets for target in entry.targets]
    if matching_none(selector, names, part=parts - 2, parts=parts):
        near = suggestion(selector.split("/")[parts - 2], names)
        yield where, f"{selector!r} fits no target of targets.yml{near}"
