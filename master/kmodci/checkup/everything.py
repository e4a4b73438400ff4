"""Which checks there are for a farm, by its configuration."""

import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import time
from urllib.parse import urlsplit

from kmodci.acceptance import Acceptances
from kmodci.bootstrap import lacks
from kmodci.bucket import Bucket
from kmodci.discovery import Repository
from kmodci.errors import EngineError, KmodciError
from kmodci.findings import Finding, Level, good, of_image
from kmodci.hosts import Host
from kmodci.paths import checkout
from kmodci.schema import Scope
from kmodci.settings import Settings
from kmodci.sourceview import SourceView
from kmodci.store import RepositoryState, Store
from kmodci.survey import survey
from kmodci.where import (
    bucket_of,
    buildbot_database,
    embedded,
    images_of,
    limits_of,
    open_bucket,
    packages,
    recipes_of,
    repositories,
)

from . import clusters, hosts, machine, ports, sources, stores, wire
from .rounds import Check, unlooked


def _server(url: str) -> str:
    """`https://deb.example.org`, of what is asked over HTTP; else nothing."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else ""


@dataclass(slots=True)
class Everything:
    """One round. Opens nothing before it is looked at."""

    settings: Settings
    scope: Scope
    pid: int | None
    """of the master that runs on this state"""
    _keys: "Future[frozenset[str] | None]" = field(default_factory=Future)
    """of the images in the bucket; None if it does not tell"""

    @property
    def _farm(self) -> str:
        """Whose containers these are: made by hand, so that a farm that runs does not take them for its own."""
        place = self.settings.state / "master" / "farm-id"
        return f"{place.read_text() if place.exists() else 'doctor'}-by-hand-{os.getpid()}"

    def checks(self) -> Iterator[Check]:
        """In the order in which they are told."""
        yield from self._machine()
        yield from self._hosts()
        yield from self._stores()
        yield from self._sources()

    def _machine(self) -> Iterator[Check]:
        state, web = self.settings.state, self.settings.web
        yield Check(part="versions", where="programs", look=machine.of_programs)
        requirements = checkout() / "master" / "requirements.txt"
        yield Check(part="versions", where="packages", look=partial(machine.of_packages, requirements))
        files = partial(machine.of_files, self.settings.folder, state, self._secrets())
        yield Check(part="permissions", where=str(self.settings.folder), look=files)
        yield Check(part="permissions", where=str(state), look=partial(machine.of_state, state))
        yield Check(part="disk", where=str(state), look=partial(machine.of_disk_of, state))
        caches = partial(machine.of_caches, state, self.settings.retention.cache)
        yield Check(part="disk", where=str(state / "cache"), look=caches, seconds=60)
        if self.pid is not None:
            here = "127.0.0.1" if web.host in ("0.0.0.0", "::") else web.host  # noqa: S104 compared, not listened on
            address = f"http://[{here}]:{web.port}/" if ":" in here else f"http://{here}:{web.port}/"
            yield Check(part="farm", where=address, look=partial(ports.of_farm, address, self.pid))
        else:
            yield Check(part="farm", where="ports", look=self._ports)
        if web.url.startswith("https:"):
            look = partial(wire.of_server, web.url, "the farm's proxy")
            yield Check(part="farm", where=web.url, look=look)

    def _secrets(self) -> tuple[Path, ...]:
        return (self.settings.users_file, self.settings.tokens_file)

    def _ports(self) -> Iterator[Finding]:
        web, state = self.settings.web, self.settings.state
        yield good("no farm runs on this state")
        yield ports.of_port(web.host, web.port, what="web interface")
        if self.settings.bucket is None:
            yield ports.of_port("127.0.0.1", web.port + 1, what="embedded S3 server", ours=state / "s3.pid")

    def _hosts(self) -> Iterator[Check]:
        images = images_of(self.settings, recipes_of(self.settings)).values()
        for name, at in self.settings.build_hosts.items():
            host = at.host(name)
            if host.cluster is not None:
                yield from self._cluster(name, host)
                continue
            engine = hosts.engine_of(host, self._farm)
            yield Check(part="engine", where=name, look=partial(hosts.of_engine, host, engine))
            if host.tls is not None:
                yield Check(part="engine", where=name, look=partial(hosts.of_certificates, host))
            tags = frozenset(made.tag for made in images if made.arch == host.arch)
            look = partial(hosts.of_sandboxes, engine, limits_of(self.settings), tags)
            yield Check(part="engine", where=name, look=look, seconds=60)
        yield Check(part="images", where="hosts and bucket", look=self._images, seconds=60)

    def _cluster(self, name: str, host: Host) -> Iterator[Check]:
        cluster = clusters.cluster_of(host, self._farm)
        yield Check(part="cluster", where=name, look=partial(clusters.of_cluster, cluster), seconds=60)
        yield Check(part="cluster", where=name, look=partial(clusters.of_certificates, cluster))

    def _images(self) -> Iterator[Finding]:
        on: dict[str, frozenset[str]] = {}
        for name, at in self.settings.build_hosts.items():
            host = at.host(name)
            if host.cluster is not None:
                continue  # whose nodes take what they need from the bucket, through the farm
            try:
                on[name] = hosts.engine_of(host, self._farm).tags()
            except EngineError:
                continue  # which the check of that host tells
        keys = self._keys.result()
        for made in images_of(self.settings, recipes_of(self.settings)).values():
            there = [name for name, tags in on.items() if made.tag in tags]
            known = None if keys is None else made.key in keys
            # where another process makes them, it is that one's machine that has to have what it takes
            lacking = "" if self.settings.images else lacks(made.arch)
            yield of_image(made.tag, on=there, in_bucket=known, lacks=lacking)

    def _stores(self) -> Iterator[Check]:
        at = self.settings.bucket
        yield Check(part="bucket", where=at.endpoint if at else "embedded", look=self._bucket, seconds=60)
        if at is not None:
            yield Check(part="bucket", where=at.endpoint, look=partial(wire.of_server, at.endpoint, "the S3 server"))
        own, buildbot = self.settings.database_url, buildbot_database(self.settings)
        yield Check(part="database", where="the farm's", look=partial(stores.of_database, own))
        yield Check(part="database", where="Buildbot's", look=partial(stores.of_buildbot, buildbot))

    def _bucket(self) -> Iterator[Finding]:
        keys: frozenset[str] | None = None
        try:
            if self.settings.bucket is None and not embedded(self.settings).credentials_file.exists():
                yield from unlooked("there is none yet: the first start makes it, in the state folder")
                return
            # a farm that runs has its server running; one beside it would take its place
            with self._opened_bucket() as bucket:
                yield from stores.of_bucket(bucket)
                keys = stores.of_images(bucket)
        finally:
            self._keys.set_result(keys)

    def _opened_bucket(self) -> AbstractContextManager[Bucket]:
        return nullcontext(bucket_of(self.settings)) if self.pid is not None else open_bucket(self.settings)

    def _sources(self) -> Iterator[Check]:
        yield Check(part="sources", where="as the farm knows them", look=self._known)
        wanted, followed = packages(self.settings, self.scope), repositories(self.settings, self.scope)
        for name, repository in followed.items():
            for mirror in repository.mirrors if "://" in repository.mirrors[0] else ():
                look = partial(self._mirror, repository, mirror, frozenset(wanted.get(name, {})))
                yield Check(part="mirrors", where=name, look=look, seconds=45)
        servers = {_server(mirror): mirror for each in followed.values() for mirror in each.mirrors}
        for server, mirror in servers.items():
            if server:
                yield Check(part="mirrors", where=server, look=partial(wire.of_server, mirror, server))

    def _mirror(self, repository: Repository, mirror: str, wanted: frozenset[str]) -> Iterator[Finding]:
        try:
            state = self._seen()[repository.name].state
        except (KmodciError, KeyError):
            # the farm knows nothing of it, or the store does not say, which its own check tells
            state = RepositoryState(name=repository.name)
        return sources.of_mirror(repository, mirror, state, wanted)

    def _seen(self) -> dict[str, SourceView]:
        if stores.is_fresh(self.settings.database_url):
            return {}
        store = Store(self.settings.database_url)
        try:
            found = survey(self.settings, self.scope, store, Acceptances(self.settings.state / "accepted"))
        finally:
            store.close()
        return {each.name: each for each in found}

    def _known(self) -> Iterator[Finding]:
        seen, count = self._seen(), 0
        if not seen:
            yield from unlooked("the farm has not looked at any yet")
            return
        for each in seen.values():
            finding = sources.of_source(each, self.settings.poll.interval, time())
            if finding.level is Level.GOOD:
                count += 1
            else:
                yield Finding(finding.level, f"{each.name}: {finding.what}", finding.advice)
        yield good(f"{count} sources of {len(seen)} are well")
