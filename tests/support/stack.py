"""The stack of docker-compose.yml, for real, on a machine that reaches no registry of images.

What docker-compose.yml names of Docker Hub is made of Debian's packages (tests/data/compose); Compose itself, if there
is none of version 2, is Debian 13's. Both are fetched by apt, which checks them.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from functools import cached_property
from http.client import HTTPResponse
from pathlib import Path
from ssl import create_default_context
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError, URLError
from urllib.request import BaseHandler, HTTPRedirectHandler, HTTPSHandler, ProxyHandler

import docker
from docker.errors import ImageNotFound
from kmodci.mirrors import system_keyrings, system_mirrors
from support.farm import ENGINE, free_ports, until

Answer = HTTPResponse | HTTPError
ROOT = Path(__file__).parents[2]
FILES = ("docker-compose.yml", "tests/data/compose/override.yml")
SERIES = "trixie"
_CA = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
# all that master/Dockerfile installs, and what stands for the other images: once, and not in each of them
_PACKAGES = (
    "ca-certificates", "caddy", "debian-archive-keyring", "git", "gpgv", "mmdebstrap", "openssh-client", "postgresql",
    "postgresql-client", "python3", "python3-venv", "tini", "ubuntu-keyring", "wget", "zstd",
)  # fmt: skip
# the user that the image of Docker Hub has for PostgreSQL
_USER = 'echo postgres:x:999:999::/var/lib/postgresql:/bin/sh >>"$1/etc/passwd"; echo postgres:x:999: >>"$1/etc/group"'


def _sources() -> list[str]:
    """Of Debian 13, on this machine's mirrors."""
    [keyring] = system_keyrings("debian")
    return [
        f"deb [signed-by={keyring}] {url} {SERIES}{'-security' if name == 'debian-security' else ''} main"
        for name, url in system_mirrors().items()
    ]


def base_image() -> str:
    """The tag of an image in place of `debian:trixie-slim`, made if the engine has none; it stays for the next time."""
    # the image's own sources name no keyring, as those of Docker Hub's do not
    command = [
        "mmdebstrap", "--variant=apt", f"--include={','.join(_PACKAGES)}", '--aptopt=APT::Install-Recommends "false"',
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
        f"--essential-hook={_USER}", SERIES, "-",
        *(" ".join(["deb", *line.split()[2:]]) for line in _sources()),
    ]  # fmt: skip
    tag = f"kmodci-test/base:{hashlib.sha256(repr(command).encode()).hexdigest()[:16]}"
    client = docker.APIClient(base_url=ENGINE, timeout=600)
    try:
        client.inspect_image(tag)
    except ImageNotFound:
        with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said) as made:
            repository, _, version = tag.partition(":")
            client.import_image_from_stream(made.stdout, repository=repository, tag=version)
            assert made.wait() == 0, said.seek(0) or said.read()[-2000:].decode()
    finally:
        client.close()
    return tag


def compose_command(folder: Path) -> list[str]:
    """Compose of version 2: what is installed, or else Debian's, unpacked there."""
    found = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if found.returncode == 0:
        return ["docker", "compose"]
    for name in ("lists", "cache"):
        (folder / name / "partial").mkdir(parents=True)
    (folder / "sources.list").write_text("\n".join(_sources()))
    options = [
        f"Dir::Etc::sourcelist={folder}/sources.list", "Dir::Etc::sourceparts=/dev/null",
        f"Dir::State::lists={folder}/lists", f"Dir::Cache={folder}/cache", "Acquire::Languages=none",
        "APT::Sandbox::User=root",
    ]  # fmt: skip
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    for words in (["update"], ["download", "docker-compose"]):
        subprocess.run([*apt, *words], cwd=folder, check=True, capture_output=True)
    [package] = folder.glob("docker-compose_*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, folder / "compose"], check=True)
    return [str(folder / "compose/usr/libexec/docker/cli-plugins/docker-compose")]


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Who asks wants to see it."""


def _answer(request: urllib.request.Request, *handlers: BaseHandler) -> Answer:
    opener = urllib.request.build_opener(ProxyHandler({}), _NoRedirect, *handlers)
    try:
        answer: HTTPResponse = opener.open(request, timeout=30)
    except HTTPError as error:
        return error
    return answer


class Stack:
    """`with Stack(folder) as stack:`; it is built, and not started. Nothing of it is left afterwards but its base."""

    def __init__(self, folder: Path, scope: Mapping[str, object]) -> None:
        """scope: as in kmodci.yml; it is what the farm works on."""
        self._folder = folder
        self.project = f"kmodci-test-{os.getpid()}"
        self.config = folder / "config"
        shutil.copytree(ROOT / "config", self.config, symlinks=True)
        settings = self.config / "compose" / "kmodci.yml"
        whole = settings.read_text()
        assert "\nscope: all\nscopes:\n  all: {}\n" in whole
        settings.write_text(f"{whole.partition('scope: all')[0]}scope: test\nscopes: {json.dumps({'test': scope})}\n")
        self.port = free_ports()
        self.url = f"https://localhost:{self.port}"
        self._farm = self._trusted = ""

    @cached_property
    def _environment(self) -> dict[str, str]:
        index = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
        said = subprocess.run(index, capture_output=True, text=True, check=False)
        pip = self._folder / "pip.conf"
        pip.write_text(f"[global]\nindex-url = {said.stdout.strip()}\n" if said.returncode == 0 else "[global]\n")
        ca = next((os.environ[name] for name in _CA if os.environ.get(name)), "/etc/ssl/certs/ca-certificates.crt")
        bundles = (*_CA, "CURL_CA_BUNDLE")
        return {
            **{name: value for name, value in os.environ.items() if name not in bundles},
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_ANSI": "never",
            "KMODCI_BASE": base_image(),
            "KMODCI_IMAGE": f"{self.project}/master:1",
            "KMODCI_PROXY_IMAGE": f"{self.project}/proxy:1",
            "KMODCI_DATABASE_IMAGE": f"{self.project}/database:1",
            "KMODCI_TEST_CONFIG": str(self.config),
            "KMODCI_TEST_PIP": str(pip),
            "KMODCI_TEST_CA": ca,
            "KMODCI_HTTPS_PORT": str(self.port),
            "KMODCI_HTTP_PORT": str(self.port + 1),
            "KMODCI_URL": self.url,
        }

    @cached_property
    def _compose(self) -> list[str]:
        files = [word for file in FILES for word in ("--file", file)]
        return [*compose_command(self._folder / "apt"), *files]

    def compose(self, *arguments: str, given: bytes = b"", check: bool = True) -> bytes:
        """What it prints."""
        done = subprocess.run(
            [*self._compose, *arguments], cwd=ROOT, env=self._environment, input=given, capture_output=True, check=False
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stderr.decode()[-3000:]}\n{self.told()}"
        return done.stdout

    def kmodci(self, *arguments: str) -> str:
        """In the container of the master that runs."""
        return self.compose("exec", "-T", "master", "kmodci", *arguments).decode()

    def sql(self, *statements: str) -> str:
        """In the database's container; what they find, a line for each row."""
        words = [word for statement in statements for word in ("-c", statement)]
        at = ("-h", "/var/run/postgresql", "-U", "kmodci", "-d", "kmodci")
        asked = ("psql", "--quiet", "--no-align", "--tuples-only", "-v", "ON_ERROR_STOP=1")
        return self.compose("exec", "-T", "database", *asked, *at, *words).decode()

    def secrets(self) -> list[str]:
        """What the parts of the stack know each other by."""
        said = self.compose("exec", "-T", "master", "sh", "-c", "cat /run/kmodci-secrets/master/*").decode()
        found = [line.replace(":", " ").split()[-1] for line in said.splitlines() if not line.startswith("[")]
        assert len(found) == 3 and all(len(each) == 48 for each in found)
        return found

    def up(self) -> None:
        """Returns when the farm says that it is well."""
        self.compose("up", "--detach")
        until(self._is_well, seconds=300, told=self.told)
        self._farm = self.compose("exec", "-T", "master", "cat", "/var/lib/kmodci/master/farm-id").decode().strip()

    def _is_well(self) -> bool:
        # a proxy that has just begun has not made its authority yet
        self._trusted = self.authority
        try:
            return bool(self._trusted) and self.get("/healthz").status == 200
        except (URLError, OSError):
            return False

    @property
    def authority(self) -> str:
        """The certificate of the proxy's own, PEM."""
        place = "/data/caddy/pki/authorities/local/root.crt"
        return self.compose("exec", "-T", "proxy", "cat", place, check=False).decode()

    def get(self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
        """An answer, whichever it is, by the proxy's port; that authority is trusted, and no other."""
        request = urllib.request.Request(f"{self.url}{path}", method=method, headers=dict(headers or {}))
        return _answer(request, HTTPSHandler(context=create_default_context(cadata=self._trusted)))

    def get_plainly(self, path: str) -> Answer:
        """By its port without TLS."""
        return _answer(urllib.request.Request(f"http://localhost:{self.port + 1}{path}"))

    def log_in(self, user: str, password: str) -> Answer:
        given = base64.b64encode(f"{user}:{password}".encode()).decode()
        return self.get("/auth/login", headers={"Authorization": f"Basic {given}"})

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine knows of each that runs, by service."""
        client = docker.APIClient(base_url=ENGINE)
        try:
            found = client.containers(filters={"label": f"com.docker.compose.project={self.project}"})
            names = {each["Id"]: each["Labels"]["com.docker.compose.service"] for each in found}
            return {name: client.inspect_container(container) for container, name in names.items()}
        finally:
            client.close()

    def told(self) -> str:
        """For a deadline that was missed."""
        return self.compose("logs", "--no-color", "--tail", "40", check=False).decode()

    def __enter__(self) -> Self:
        began = time.monotonic()
        self._environment  # noqa: B018 made here, so that it is counted
        based = time.monotonic()
        try:
            self.compose("build")
        except BaseException:
            self._remove()
            raise
        print(f"base image: {based - began:.0f} s; images: {time.monotonic() - based:.0f} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5", "--rmi", "all", check=False)
        self._sweep()

    def _sweep(self) -> None:
        """What the farm has on the engine."""
        if not self._farm:
            return
        client, label = docker.APIClient(base_url=ENGINE), {"label": f"kmodci.farm={self._farm}"}
        for container in client.containers(all=True, filters=label):
            client.remove_container(container["Id"], v=True, force=True)
        for volume in client.volumes(filters=label)["Volumes"] or ():
            client.remove_volume(volume["Name"])
        client.close()
