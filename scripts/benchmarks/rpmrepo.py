"""A real rpm repository on loopback: packages by rpmbuild and rpmsign, the index by createrepo_c. Tests use it too.

with RpmRepo(tmp_path) as repo:
    repo.add(make_kernel_rpm(tmp_path / "rpms", "5.14.0", "503.el9"))
    repo.publish()
    look(Repository(mirrors=(repo.url,), index=RpmIndex(path=repo.path, signed=Signed.NO), ...), ...)
"""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from .aptrepo import Key, archive_key
from .webserver import Served, WebServer

_SPEC = """
Name: {name}
Version: {version}
Release: {release}
{more}Summary: made for a test
License: none
AutoReqProv: no
%description
Made for a test.
%install
mkdir -p %{{buildroot}}
cp -a {root}/. %{{buildroot}}/
%files
%defattr(-,root,root)
{files}
"""
_MACROS = {
    "_build_id_links": "none",
    "__os_install_post": "%{nil}",
    "debug_package": "%{nil}",
    # the same package again is the same file
    "_buildhost": "localhost",
    "use_source_date_epoch_as_buildtime": "1",
    "clamp_mtime_to_source_date_epoch": "1",
    # programs of another architecture in a tree of headers
    "_binaries_in_noarch_packages_terminate_build": "0",
}
PAYLOADS: Mapping[str, str] = {"gz": "w6.gzdio", "xz": "w2.xzdio", "zstd": "w3.zstdio", "bz2": "w6.bzdio"}
"""how a package's files may be compressed, as rpm's `_binary_payload` says it"""


class RpmRepo(Served):
    """A repository in a folder (`path`) below the mirror's root. `requests` are the paths that were asked for."""

    def __init__(self, folder: Path, *, path: str = "9/BaseOS/x86_64/os", key: Key | None = None) -> None:
        self.path = path
        self.key = key or archive_key()
        self.root = folder / "mirror"
        self.folder = self.root / path
        (self.folder / "Packages").mkdir(parents=True, exist_ok=True)
        self.server = WebServer(self.root)

    @property
    def url(self) -> str:
        """The mirror's."""
        return self.server.url

    @property
    def requests(self) -> list[str]:
        return self.server.requests

    @property
    def keyring(self) -> Path:
        """Armoured, as vendors publish theirs."""
        return self.key.armoured

    @property
    def repodata(self) -> Path:
        return self.folder / "repodata"

    def add(self, rpm: Path) -> Path:
        """Puts a package into the repository; listed from the next `publish` on."""
        return Path(shutil.copy(rpm, self.folder / "Packages" / rpm.name))

    def publish(
        self, *options: str, compression: str = "gz", database: bool = False, sign: bool = False, key: Key | None = None
    ) -> None:
        """Writes the index anew.

        options: further ones of createrepo_c; compression: gz, xz, zstd or bz2; database: also as SQLite; sign:
        repomd.xml.asc as well, with a key other than the repository's if there is one.
        """
        shutil.rmtree(self.repodata, ignore_errors=True)
        program = Path(sys.executable).with_name("createrepo_c")
        command = [str(program), "--quiet", f"--general-compress-type={compression}"]
        command += ["--database"] if database else ["--no-database"]
        _run([*command, *options, str(self.folder)])
        if sign:
            self.sign(key)

    def sign(self, key: Key | None = None) -> None:
        """Signs the index as it is."""
        repomd = self.repodata / "repomd.xml"
        repomd.with_name("repomd.xml.asc").write_bytes((key or self.key).sign_detached(repomd.read_bytes()))

    def without_xml(self) -> None:
        """Has repomd.xml name the database alone, as some old ones do."""
        repomd = self.repodata / "repomd.xml"
        text = re.sub(r'\s*<data type="primary">.*?</data>', "", repomd.read_text(), flags=re.DOTALL)
        repomd.write_text(text)

    def rewrite(self, pattern: str, replacement: str) -> None:
        """Changes the text of the index, which is gzip-compressed, and has repomd.xml vouch for what it became."""
        primary, repomd = self.file("primary"), self.repodata / "repomd.xml"
        old = primary.read_bytes()
        text = re.sub(pattern, replacement, gzip.decompress(old).decode(), flags=re.DOTALL).encode()
        new = gzip.compress(text)
        primary.unlink()
        head, mark, tail = repomd.read_text().partition('<data type="primary">')
        tail = tail.replace(hashlib.sha256(old).hexdigest(), hashlib.sha256(new).hexdigest())
        tail = re.sub(r"<size>\d+<", f"<size>{len(new)}<", tail, count=1)
        tail = re.sub(r"<open-size>\d+<", f"<open-size>{len(text)}<", tail, count=1)
        repomd.write_text(head + mark + tail)
        self.file("primary").write_bytes(new)

    def file(self, kind: str) -> Path:
        """The file of the index that repomd.xml names as this kind: primary, primary_db."""
        text = (self.repodata / "repomd.xml").read_text()
        found = re.search(rf'<data type="{kind}">.*?href="([^"]+)"', text, re.DOTALL)
        assert found, text
        return self.folder / found[1]


def make_rpm(
    folder: Path,
    name: str,
    version: str,
    release: str,
    *,
    arch: str = "x86_64",
    epoch: int = 0,
    provides: Sequence[str] = (),
    requires: Sequence[str] = (),
    files: Mapping[str, str | bytes] | None = None,
    tree: Path | None = None,
    payload: str = "gz",
    macros: Mapping[str, str] | None = None,
) -> Path:
    """A package. files: content by path inside of it; tree: a folder with further ones; payload: one of PAYLOADS."""
    more = [f"Epoch: {epoch}"] if epoch else []
    more += [f"Provides: {each}" for each in provides] + [f"Requires: {each}" for each in requires]
    with tempfile.TemporaryDirectory(prefix="rpm-") as temporary:
        work = Path(temporary)
        root = tree or work / "root"
        root.mkdir(exist_ok=True)
        for path, content in (files or {}).items():
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        lines = "".join(f"{line}\n" for line in more)
        spec = work / "package.spec"
        spec.write_text(
            _SPEC.format(
                name=name,
                version=version,
                release=release,
                more=lines,
                root=root,
                files="/*" if any(root.iterdir()) else "",
            )
        )
        defined = {**_MACROS, "_topdir": str(work), "_binary_payload": PAYLOADS[payload], **(macros or {})}
        command = ["rpmbuild", "--quiet", "-bb", f"--target={arch}-linux", *_defined(defined), str(spec)]
        _run(command, SOURCE_DATE_EPOCH="1700000000")
        [made] = (work / "RPMS").glob("*/*.rpm")
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(made, folder / made.name))


def make_kernel_rpm(
    folder: Path,
    version: str,
    release: str,
    *,
    name: str = "kernel-devel",
    arch: str = "x86_64",
    uname: str = "",
    says_uname: bool = True,
    tree: Path | None = None,
    payload: str = "gz",
) -> Path:
    """A tiny kernel-devel, or one with a tree of real headers. uname: what `uname -r` prints, if not the usual."""
    uname = uname or f"{version}-{release}.{arch}"
    usr = f"/usr/src/kernels/{uname}"
    files = {
        f"{usr}/Makefile": "all:\n",
        f"{usr}/.config": "CONFIG_MODULES=y\nCONFIG_MODULE_COMPRESS_NONE=y\n",
        f"{usr}/Module.symvers": "0x12345678\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n",
        f"{usr}/include/generated/utsrelease.h": f'#define UTS_RELEASE "{uname}"\n',
    }
    return make_rpm(
        folder,
        name,
        version,
        release,
        arch=arch,
        provides=[f"kernel-devel-uname-r = {uname}"] if says_uname else [],
        files={} if tree else files,
        tree=tree,
        payload=payload,
    )


def sign_rpm(rpm: Path, key: Key, *options: str) -> Path:
    """Signs a package in its place. options: further ones of rpmsign: --rpmv3 also signs header and payload as one."""
    macros = {"_gpg_path": str(key.home), "_gpg_name": key.name, "__gpg": shutil.which("gpg") or "gpg"}
    _run(["rpmsign", "--addsign", *options, *_defined(macros), str(rpm)])
    return rpm


def _defined(macros: Mapping[str, str]) -> list[str]:
    return [word for macro, value in macros.items() for word in ("--define", f"{macro} {value}")]


def _run(command: Sequence[str], **environment: str) -> None:
    # HOME: rpm reads macros from there
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "HOME": "/nonexistent", **environment}
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
