import hashlib
import io
import random
import subprocess
import tarfile
from pathlib import Path

import pytest
from kmodci.errors import BuildImpossible, FetchError, IndexDamaged, NotFound
from kmodci.git import archive, look
from kmodci.model import ModuleVersion, Package
from kmodci.release import BadName
from kmodci.sources import FolderSource, GitSource, PackageSource, TarballSource, pack, resolve

DATA = Path(__file__).parent / "data" / "sources"


class Files:
    """Serves the files it was given, by URL."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self._files = files or {}

    def get(self, url: str, *, limit: int, sha256: str = "") -> bytes:
        assert len(self._files[url]) <= limit
        return self._files[url]


def packed(module: ModuleVersion, tmp_path: Path, files: Files | None = None) -> dict[str, str]:
    archive = pack(module, files or Files(), tmp_path / "source.tar.zst")
    out = tmp_path / "unpacked"
    out.mkdir()
    subprocess.run(["tar", "--zstd", "-xf", archive, "-C", out], check=True)
    return {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*") if path.is_file()}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with a tag of each kind, and a commit after them."""
    folder = tmp_path / "repository"
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(folder))
    for number, tag in ((9, ["tag", "v1.9"]), (10, ["tag", "-a", "-m", "ten", "v1.10"]), (11, ["tag", "nightly"])):
        (folder / "Makefile").write_text(f"# {number}\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", str(number))
        git(folder, *tag)
    return folder


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_git_branch(repository: Path, tmp_path: Path) -> None:
    module = resolve("m", GitSource(url=str(repository), ref="main"))
    head = git(repository, "rev-parse", "HEAD")
    assert (module.version, module.digest) == (f"git-{head[:12]}", head)
    assert packed(module, tmp_path) == {"Makefile": "# 11\n"}


def test_git_gets_what_was_resolved_and_not_what_came_after(repository: Path, tmp_path: Path) -> None:
    module = resolve("m", GitSource(url=repository.as_uri()))
    (repository / "Makefile").write_text("# 12\n")
    git(repository, "commit", "--quiet", "-am", "12")
    assert packed(module, tmp_path) == {"Makefile": "# 11\n"}
    assert resolve("m", GitSource(url=str(repository))).digest != module.digest


def test_git_annotated_tag_is_its_commit(repository: Path, tmp_path: Path) -> None:
    module = resolve("m", GitSource(url=str(repository), ref="v1.10"))
    assert (module.version, module.digest) == ("1.10", git(repository, "rev-parse", "v1.10^{commit}"))
    assert packed(module, tmp_path) == {"Makefile": "# 10\n"}


def test_git_newest_tag_counts_numbers_as_numbers(repository: Path) -> None:
    assert resolve("m", GitSource(url=str(repository), tags="v*")).version == "1.10"


def test_git_commit_needs_no_question(repository: Path) -> None:
    commit = git(repository, "rev-parse", "v1.9")
    assert resolve("m", GitSource(url="/nowhere", ref=commit)).digest == commit


def test_git_unknown_ref_names_the_nearest(repository: Path) -> None:
    with pytest.raises(NotFound) as error:
        resolve("m", GitSource(url=str(repository), ref="v1.11"))
    assert "v1.10" in error.value.hint
    with pytest.raises(NotFound, match="no tag like"):
        resolve("m", GitSource(url=str(repository), tags="release-*"))


def test_git_that_cannot_be_reached(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"does not appear to be a git repository|does not exist"):
        resolve("m", GitSource(url=str(tmp_path / "nothing")))


@pytest.mark.parametrize("url", ["ext::sh -c touch% {0}", "--upload-pack=touch {0}"])
def test_git_url_that_is_a_command(url: str, tmp_path: Path) -> None:
    with pytest.raises(FetchError):
        resolve("m", GitSource(url=url.format(tmp_path / "hit")))
    assert not (tmp_path / "hit").exists()


def test_git_bomb(tmp_path: Path) -> None:
    """A few objects, of which a tree has 64 times 64 times 64 the same file of a megabyte."""
    git(tmp_path, "init", "--quiet", "--bare", "bomb")
    bomb = tmp_path / "bomb"
    (bomb / "zeros").write_bytes(bytes(1 << 20))
    inner, mode, kind = git(bomb, "hash-object", "-w", "zeros"), "100644", "blob"
    for _ in range(3):
        lines = "".join(f"{mode} {kind} {inner}\t{number}\n" for number in range(64))
        made = subprocess.run(["git", "mktree"], cwd=bomb, input=lines, capture_output=True, text=True, check=True)
        inner, mode, kind = made.stdout.strip(), "040000", "tree"
    git(bomb, "update-ref", "refs/heads/main", git(bomb, "commit-tree", "-m", "bomb", inner))
    with pytest.raises(FetchError, match="git archive gives more than 8 MiB"):
        archive(bomb.as_uri(), look(bomb.as_uri(), "main").commit, limit=8 << 20)


def test_git_that_sends_more_than_there_may_be(repository: Path) -> None:
    (repository / "noise").write_bytes(random.Random(7).randbytes(3 << 20))
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "noise")
    with pytest.raises(FetchError, match="git fetch gives more than 1 MiB"):
        archive(repository.as_uri(), git(repository, "rev-parse", "HEAD"), limit=1 << 20)


def tarball(names: list[str], mode: str = "w:gz") -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=mode) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
    return raw.getvalue()


@pytest.mark.parametrize("mode", ["w:", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["m-1.0/Makefile", "m-1.0/src/m.c"], {"Makefile", "src/m.c"}),
        (["./Makefile", "./src/m.c"], {"Makefile", "src/m.c"}),
        (["Makefile"], {"Makefile"}),
    ],
)
def test_tarball(mode: str, names: list[str], expected: set[str], tmp_path: Path) -> None:
    content = tarball(names, mode)
    url = "http://x/m-1.0.tar"
    module = resolve("m", TarballSource(url=url, sha256=hashlib.sha256(content).hexdigest()), version="1.0")
    assert (module.version, module.origin) == ("1.0", url)
    assert packed(module, tmp_path, Files({url: content})).keys() == expected


def test_tarball_that_is_another(tmp_path: Path) -> None:
    module = resolve("m", TarballSource(url="u", sha256="0" * 64))
    with pytest.raises(IndexDamaged, match="its SHA256 is"):
        pack(module, Files({"u": tarball(["Makefile"])}), tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("content", [b"<html>not found</html>", tarball(["Makefile"])[:-20], b"\x1f\x8bxx"])
def test_tarball_that_is_none(content: bytes, tmp_path: Path) -> None:
    module = resolve("m", TarballSource(url="u", sha256=hashlib.sha256(content).hexdigest()))
    with pytest.raises(IndexDamaged):
        pack(module, Files({"u": content}), tmp_path / "s")


def test_folder(tmp_path: Path) -> None:
    folder = tmp_path / "module"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("x")
    (folder / "src").mkdir()
    (folder / "src" / "m.c").write_text("int x;\n")
    (folder / "m.c").symlink_to("src/m.c")
    module = resolve("m", FolderSource(path=folder))
    assert packed(module, tmp_path) == {"src/m.c": "int x;\n", "m.c": "int x;\n"}
    (folder / ".git" / "HEAD").write_text("y")
    assert resolve("m", FolderSource(path=folder)) == module
    (folder / "src" / "m.c").chmod(0o755)
    assert resolve("m", FolderSource(path=folder)).digest != module.digest
    with pytest.raises(BuildImpossible, match="changed since"):
        pack(module, Files(), tmp_path / "s")


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret", "src/../../secret"])
def test_folder_with_a_link_out_of_it(target: str, tmp_path: Path) -> None:
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "x").symlink_to(target)
    with pytest.raises(BuildImpossible, match="link out of the folder"):
        resolve("m", FolderSource(path=tmp_path / "module"))


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BuildImpossible, match="no such folder"):
        resolve("m", FolderSource(path=tmp_path / "nothing"))


def test_an_empty_source(tmp_path: Path) -> None:
    (tmp_path / "module").mkdir()
    with pytest.raises(BuildImpossible, match="no file in"):
        pack(resolve("m", FolderSource(path=tmp_path / "module")), Files(), tmp_path / "s")


def dkms(content: bytes) -> Package:
    digest = hashlib.sha256(content).hexdigest()
    return Package(
        name="v4l2loopback-dkms", version="0.15.4-2", arch="all", url="http://x/v.deb", size=len(content), sha256=digest
    )


def test_debian_package(tmp_path: Path) -> None:
    content = (DATA / "v4l2loopback-dkms_0.15.4-2_all.deb").read_bytes()
    module = resolve("v4l2loopback", PackageSource(package=dkms(content)))
    assert (module.version, module.origin) == ("0.15.4-2", "v4l2loopback-dkms 0.15.4-2")
    found = packed(module, tmp_path, Files({"http://x/v.deb": content}))
    assert found.keys() == {"Kbuild", "Makefile", "dkms.conf"}
    assert 'PACKAGE_VERSION="0.15.4"' in found["dkms.conf"]


def test_debian_package_that_is_not_for_dkms(tmp_path: Path) -> None:
    (tmp_path / "deb" / "DEBIAN").mkdir(parents=True)
    (tmp_path / "deb" / "DEBIAN" / "control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n"
    )
    (tmp_path / "deb" / "usr" / "src" / "x-1").mkdir(parents=True)
    (tmp_path / "deb" / "usr" / "src" / "x-1" / "Makefile").touch()
    subprocess.run(["dpkg-deb", "-b", tmp_path / "deb", tmp_path / "x.deb"], check=True, capture_output=True)
    content = (tmp_path / "x.deb").read_bytes()
    with pytest.raises(BuildImpossible, match=r"0 folders with a dkms\.conf"):
        pack(resolve("m", PackageSource(package=dkms(content))), Files({"http://x/v.deb": content}), tmp_path / "s")


@pytest.mark.parametrize(("module", "version"), [("../m", "1"), ("m", "1/2"), ("m", "1 2"), ("m", "..")])
def test_names_are_checked(module: str, version: str, repository: Path) -> None:
    with pytest.raises(BadName):
        resolve(module, GitSource(url=str(repository)), version=version)
