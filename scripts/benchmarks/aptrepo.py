"""A real apt repository on loopback: packages by dpkg-deb, indices by apt-ftparchive, signed by gpg. Tests use it too.

with AptRepo(tmp_path) as repo:
    for deb in kernel_packages(tmp_path / "debs", "6.1.0-99-amd64", version="6.1.199-1"):
        repo.add(deb)
    repo.publish()
    look(Repository(mirror=repo.url, suite=repo.suite, keyrings=(repo.keyring,), ...), ...)
"""

import gzip
import hashlib
import itertools
import lzma
import os
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path

from .webserver import Served, WebServer

# without the time, so that the same content is the same file (as archives make them)
_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": partial(gzip.compress, mtime=0),
    ".xz": lzma.compress,
}


# Where what is made once for all tests is kept, wherever a test has temporary files made meanwhile.
LASTING = tempfile.gettempdir()


class Key:
    """An OpenPGP key pair in a folder of its own."""

    name = "Test Archive <archive@example.org>"

    def __init__(self, *, lived: tuple[datetime, timedelta] | None = None, algorithm: str = "ed25519") -> None:
        """lived: when it was made and for how long it is good; now and for ever if not given. algorithm: gpg's."""
        # gpg-agent's socket is in here, and the path of a socket must be short: so not in tmp_path
        self.home = Path(tempfile.mkdtemp(prefix="kmodci-gpg-", dir=LASTING))
        weakref.finalize(self, _forget, self.home)
        self._clock: list[str] = []
        expires = "never"
        if lived:
            self._clock = ["--faked-system-time", lived[0].strftime("%Y%m%dT%H%M%S!")]
            expires = f"seconds={int(lived[1].total_seconds())}"
        self._gpg("--quick-gen-key", self.name, algorithm, "sign", expires)
        self.keyring = self.home / "keyring.gpg"
        self.keyring.write_bytes(self._gpg("--export"))
        self.armoured = self.home / "RPM-GPG-KEY-test"
        self.armoured.write_bytes(b"What is signed with this is from the test.\n\n" + self._gpg("--armor", "--export"))

    def sign(self, text: str, *options: str) -> bytes:
        """Clear-signed, as InRelease is. options: further ones for gpg."""
        return self._gpg(*options, "--clearsign", content=text.encode())

    def sign_detached(self, content: bytes, *options: str) -> bytes:
        """As repomd.xml.asc is; with --no-armor as rpm's headers have it."""
        return self._gpg("--armor", *options, "--detach-sign", content=content)

    def _gpg(self, *arguments: str, content: bytes = b"") -> bytes:
        options = ["--homedir", str(self.home), "--batch", "--quiet", "--passphrase", "", *self._clock]
        command = ["gpg", *options, "--pinentry-mode", "loopback", *arguments]
        done = subprocess.run(command, input=content, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


def _forget(home: Path) -> None:
    """gpg starts an agent for each folder, and leaves it running."""
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], capture_output=True, check=False)
    shutil.rmtree(home, ignore_errors=True)


@cache
def archive_key() -> Key:
    """The key of all test repositories: making one costs 0.1 s."""
    return Key()


class AptRepo(Served):
    """A repository of one suite. `requests` are the paths that were asked for.

    Its files are in `folder`/mirror; what is there already is served. codename: the suite's name if not said, which
    it is not with Ubuntu's noble-updates.
    """

    def __init__(
        self,
        folder: Path,
        *,
        suite: str = "bookworm",
        arches: Sequence[str] = ("amd64", "arm64"),
        components: Sequence[str] = ("main",),
        label: str = "Test",
        codename: str = "",
    ) -> None:
        self.suite = suite
        self.codename = codename or suite
        self.components = tuple(components)
        self.label = label
        self.arches = tuple(arches)
        self.root = folder / "mirror"
        self.key = archive_key()
        for component in self.components:
            (self.root / _pool(component)).mkdir(parents=True, exist_ok=True)
        self.server = WebServer(self.root)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def requests(self) -> list[str]:
        return self.server.requests

    @property
    def keyring(self) -> Path:
        return self.key.keyring

    @property
    def dist(self) -> Path:
        return self.root / "dists" / self.suite

    def add(self, deb: Path, component: str = "main") -> None:
        """Puts a package into the pool; listed from the next `publish` on."""
        shutil.copy(deb, self.root / _pool(component) / deb.name)

    def packages(self, arch: str, component: str = "main") -> str:
        """What Packages of an architecture would say now."""
        command = ["apt-ftparchive", "--arch", arch, "packages", _pool(component)]
        return subprocess.run(command, cwd=self.root, capture_output=True, check=True, text=True).stdout

    def publish(
        self,
        *,
        valid_for: timedelta | None = timedelta(days=7),
        by_hash: bool = True,
        suffixes: Sequence[str] = ("", ".gz", ".xz"),
        extra: Mapping[str, str] | None = None,
        key: Key | None = None,
        dated: datetime | None = None,
    ) -> None:
        """Writes the indices anew and signs them.

        valid_for: from now on, or no Valid-Until. extra: stanzas to append to main, by architecture, for what
        no tool would make. key: to sign with, instead of the archive's. dated: when it is to say that it was made.
        """
        shutil.rmtree(self.dist, ignore_errors=True)
        for component, arch in itertools.product(self.components, self.arches):
            text = self.packages(arch, component) + ((extra or {}).get(arch, "") if component == "main" else "")
            self._write(self.dist / component / f"binary-{arch}", text.encode(), suffixes, by_hash)
        (self.dist / "InRelease").write_bytes(
            (key or self.key).sign(self._release(valid_for, by_hash, dated or datetime.now(UTC)))
        )

    def _write(self, folder: Path, content: bytes, suffixes: Sequence[str], by_hash: bool) -> None:
        (folder / "by-hash" / "SHA256").mkdir(parents=True)
        for suffix in suffixes:
            data = _COMPRESS[suffix](content)
            (folder / f"Packages{suffix}").write_bytes(data)
            if by_hash:
                (folder / "by-hash" / "SHA256" / hashlib.sha256(data).hexdigest()).write_bytes(data)

    def _release(self, valid_for: timedelta | None, by_hash: bool, now: datetime) -> str:
        fields = {"Suite": self.suite, "Codename": self.codename, "Origin": "Test", "Label": self.label}
        fields["Date"] = f"{now:%a, %d %b %Y %H:%M:%S} UTC"
        if valid_for is not None:
            fields["Valid-Until"] = f"{now + valid_for:%a, %d %b %Y %H:%M:%S} UTC"
        if by_hash:
            fields["Acquire-By-Hash"] = "yes"
        head = "".join(f"{name}: {value}\n" for name, value in fields.items())
        return head + _without(self._ftparchive_release(), "Date")

    def _ftparchive_release(self) -> str:
        command = ["apt-ftparchive", "release", str(self.dist)]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def _pool(component: str) -> str:
    return "pool" if component == "main" else f"pool-{component}"


def _without(text: str, field: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{field}:"))


def make_deb(
    folder: Path,
    name: str,
    *,
    version: str,
    arch: str = "all",
    fields: Mapping[str, str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
) -> Path:
    """A package, uncompressed. fields: further control fields; files: content by path inside the package."""
    with tempfile.TemporaryDirectory(prefix="deb-") as temporary:
        root = Path(temporary)
        root.chmod(0o755)
        for path, content in (files or {}).items():
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        control = {"Package": name, "Version": version, "Architecture": arch, "Maintainer": "Test <t@example.org>"}
        return build_deb(folder, root, {**control, **(fields or {})})


def build_deb(folder: Path, root: Path, fields: Mapping[str, str], *, compression: str = "none") -> Path:
    """A package of what is in root, in a folder. fields: of its control file; compression: as dpkg-deb calls it."""
    folder.mkdir(parents=True, exist_ok=True)
    (root / "DEBIAN").mkdir()
    control = {**fields, "Description": "made for a test"}
    (root / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in control.items()))
    version = fields["Version"].replace(":", "%3a")
    deb = folder / f"{fields['Package']}_{version}_{fields['Architecture']}.deb"
    command = ["dpkg-deb", "--root-owner-group", f"-Z{compression}", "--build", str(root), str(deb)]
    # the same package again has the same digest, whenever it is made (dpkg-deb(1), SOURCE_DATE_EPOCH)
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
    return deb


def kernel_packages(
    folder: Path, release: str = "6.1.0-99-amd64", *, version: str = "6.1.199-1", toolchain: str = "gcc-12"
) -> list[Path]:
    """Tiny linux-headers, -common and linux-kbuild packages of a release (`<abi>-<flavour>`), as Debian 12 has them."""
    abi, arch = _split(release)
    series = ".".join(abi.split(".")[:2])
    common, kbuild = f"linux-headers-{abi}-common", f"linux-kbuild-{series}"
    depends = f"{common} (= {version}), {kbuild} (>= {version}), {toolchain}"
    source = {"Source": "linux"}
    usr = f"/usr/src/linux-headers-{release}"
    return [
        make_deb(
            folder,
            f"linux-headers-{release}",
            version=version,
            arch=arch,
            fields=source | {"Depends": depends},
            files={
                f"{usr}/Makefile": f"include /usr/src/{common}/Makefile\n",
                f"{usr}/.config": "CONFIG_MODULES=y\nCONFIG_MODULE_COMPRESS_NONE=y\n",
                f"{usr}/Module.symvers": "0x12345678\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n",
            },
        ),
        make_deb(folder, common, version=version, fields=source, files={f"/usr/src/{common}/Makefile": "all:\n"}),
        make_deb(
            folder,
            kbuild,
            version=version,
            arch="amd64",
            fields=source,
            files={f"/usr/lib/{kbuild}/scripts/sign-file": "#!/bin/sh\n"},
        ),
    ]


def _split(release: str) -> tuple[str, str]:
    """`6.1.0-99-cloud-amd64` -> (`6.1.0-99`, `amd64`)."""
    for arch in ("amd64", "arm64"):
        for flavour in (f"cloud-{arch}", f"rt-{arch}", f"{arch}-16k", arch):
            if release.endswith(f"-{flavour}"):
                return release.removesuffix(f"-{flavour}"), arch
    raise ValueError(f"no flavour of Debian: {release}")
