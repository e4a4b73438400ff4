"""A real pacman repository on loopback: packages by bsdtar as makepkg makes them, databases by repo-add, signed by gpg.

with PacmanRepo(tmp_path) as repo:
    repo.add(headers_package(tmp_path / "made", "linux-headers", "6.12.7.arch1-1"))
    repo.archive(date(2026, 11, 20))
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from benchmarks.aptrepo import Key
from benchmarks.webserver import Served, WebServer

# what bsdtar(1) calls the compressions
_COMPRESS = {".zst": "--zstd", ".xz": "--xz", ".gz": "--gzip", "": "--format=ustar"}


class PacmanRepo(Served):
    """One repository, and what the Arch Linux Archive would keep of it. `server.requests` are the paths asked for.

    Its files are in `folder`/mirror; what is there already is served.
    """

    def __init__(self, folder: Path, *, name: str = "core", suffix: str = ".gz", key: Key | None = None) -> None:
        """suffix: of the database; key: signs packages and the database."""
        self.name, self._suffix, self._key = name, suffix, key
        self.root = folder / "mirror"
        self.folder = self.root / name / "os" / "x86_64"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.server = WebServer(self.root)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def database(self) -> Path:
        """As a mirror names it: a link to the file that repo-add writes."""
        return self.folder / f"{self.name}.db"

    def add(self, *packages: Path) -> None:
        """Puts packages into the repository, in place of older ones of the same name."""
        for package in packages:
            kept = self.folder / package.name
            shutil.copy(package, kept)
            if self._key:
                kept.with_name(f"{kept.name}.sig").write_bytes(self._key.sign_detached(kept.read_bytes(), "--no-armor"))
        self._run("repo-add", *(package.name for package in packages))

    def drop(self, name: str) -> None:
        self._run("repo-remove", name)

    def archive(self, day: date) -> None:
        """Keeps the repository as it is, as of a day."""
        kept = self.root / "repos" / f"{day:%Y/%m/%d}" / self.name / "os" / "x86_64"
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.database, kept / self.database.name)
        for file in self.folder.glob("*.pkg.tar*"):
            name = file.name.rsplit("-", 3)[0]
            target = self.root / "packages" / name[0] / name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target / file.name)

    def _run(self, tool: str, *words: str) -> None:
        file = f"{self.name}.db.tar{self._suffix}"
        subprocess.run([tool, "--quiet", file, *words], cwd=self.folder, check=True, capture_output=True)
        if self._key:
            self.database.with_name(f"{self.database.name}.sig").write_bytes(
                self._key.sign_detached(self.database.read_bytes(), "--no-armor")
            )


def make_package(
    folder: Path,
    name: str,
    version: str,
    *,
    files: Mapping[str, str] | None = None,
    trees: Mapping[str, Path] | None = None,
    arch: str = "x86_64",
    suffix: str = ".zst",
    info: str = "",
) -> Path:
    """A package. files: content by path in it; trees: folders to copy there; info: more lines of its .PKGINFO."""
    fields = {
        "pkgname": name,
        "pkgbase": name.removesuffix("-headers"),
        "pkgver": version,
        "builddate": "1700000000",
        "size": "1",
        "arch": arch,
        "depend": "pahole",
    }
    with tempfile.TemporaryDirectory(prefix="pkg-") as temporary:
        root = Path(temporary)
        (root / ".PKGINFO").write_text("".join(f"{key} = {value}\n" for key, value in fields.items()) + info)
        for path, content in (files or {}).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content)
        for path, tree in (trees or {}).items():
            shutil.copytree(tree, root / path, symlinks=True)
        folder.mkdir(parents=True, exist_ok=True)
        package = folder / f"{name}-{version}-{arch}.pkg.tar{suffix}"
        owner = ["--uid", "0", "--gid", "0"]
        names = [".PKGINFO", *sorted(path.name for path in root.iterdir() if path.name != ".PKGINFO")]
        command = ["bsdtar", *owner, _COMPRESS[suffix], "-C", str(root), "-cf", str(package), *names]
        subprocess.run(command, check=True, capture_output=True)
    return package


def headers_package(
    folder: Path, name: str, version: str, release: str, *, build: str = "", suffix: str = ".zst", **more: str
) -> Path:
    """Tiny headers of a kernel, where Arch's packages have them or below `build`. more: further files, by name."""
    build = build or f"usr/lib/modules/{release}/build"
    files = {
        ".config": 'CONFIG_MODULES=y\nCONFIG_CC_VERSION_TEXT="gcc (GCC) 15.2.1 20260101"\n',
        "Module.symvers": "0x12345678\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n",
        "Makefile": "all:\n",
        "include/generated/utsrelease.h": f'#define UTS_RELEASE "{release}"\n',
        **more,
    }
    placed = {f"{build}/{path}": content for path, content in files.items()}
    return make_package(folder, name, version, files=placed, suffix=suffix)
