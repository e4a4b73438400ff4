import re
import shutil
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path
from urllib.parse import quote

import pytest
from kmodci.distros import DISTROS
from kmodci.errors import NotFound, SettingsError
from kmodci.hosts import Tls
from kmodci.images import nearest, recipe
from kmodci.modulefile import DebianSource, GitSource
from kmodci.repos.apt import AptIndex
from kmodci.repos.base import Trust
from kmodci.repos.sources import SourceKernel, SourcesIndex
from kmodci.repositoriesat import AptAt, SourcesAt
from kmodci.schema import Scope
from kmodci.settings import FILES, load
from kmodci.where import buildbot_database, images_of, packages, recipes_of, repositories, suites_of, trusted

Problems = Callable[..., tuple[str, ...]]
KINDS = "suite:, rpm:, mirrorlist:, metalink:, pacman:, koji:"
SHIPPED = Path(__file__).parent.parent / "config"


@pytest.fixture
def problems(tmp_path: Path) -> Problems:
    """What is wrong with the shipped configuration when some of its files are others."""

    def told(**files: str) -> tuple[str, ...]:
        folder = tmp_path / "config"
        shutil.copytree(SHIPPED, folder)
        for name, text in files.items():
            (folder / f"{name.replace('_', '-')}.yml").write_text(text)
        with pytest.raises(SettingsError) as caught:
            load(folder)
        return tuple(problem.removeprefix(f"{folder}/") for problem in caught.value.problems)

    return told


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("web: {port: 8015}", "http://127.0.0.1:8015/kmodci/files"),
        ("web: {url: 'https://farm.example.com/ci/'}", "https://farm.example.com/ci/kmodci/files"),
        ("bucket: {endpoint: 'http://s3', credentials_file: x}", "http://127.0.0.1:8010/kmodci/files"),
        ("bucket: {endpoint: 'http://s3', credentials_file: x, public: 'https://cdn/m/'}", "https://cdn/m"),
    ],
)
def test_where_nodes_read_the_bucket(tmp_path: Path, text: str, where: str) -> None:
    folder = tmp_path / "config"
    shutil.copytree(SHIPPED, folder)
    (folder / "kmodci.yml").write_text(text)
    (folder / "x").touch(mode=0o600)
    assert load(folder).public_bucket == where


def test_where_nodes_read_the_bucket_is_an_address(problems: Problems) -> None:
    bad = "bucket: {endpoint: 'http://s3', credentials_file: x, public: 'ftp://user@x'}"
    assert any("not a URL that can be used here: 'ftp://user@x'" in problem for problem in problems(kmodci=bad))


def test_the_shipped_configuration() -> None:
    settings = load(SHIPPED)
    assert settings.state == SHIPPED.parent / "state"
    assert settings.database_url == f"sqlite:///{settings.state}/kmodci.sqlite"
    assert list(settings.modules) == ["v4l2loopback", "scap"]
    assert settings.modules["v4l2loopback"].source == DebianSource(debian="v4l2loopback-dkms", suite="sid")
    followed = [entry for entry in settings.targets if entry.enabled]
    assert [entry.series for entry in followed] == ["bullseye", "bookworm", "trixie", "forky", "sid"]
    assert len([repository for entry in followed for repository in entry.repositories]) == 11
    assert settings.limits.memory == 2 << 30


def test_every_distribution_is_written_down() -> None:
    """Off, where nothing here can check it."""
    settings = load(SHIPPED)
    series: defaultdict[str, set[str]] = defaultdict(set)
    for entry in settings.targets:
        series[entry.distro].add(entry.series)
    # vanilla is for kernels of one's own
    assert set(DISTROS) - series.keys() == {"vanilla"}
    assert {entry.distro for entry in settings.targets if entry.enabled} == {"debian"}
    for distro in ("almalinux", "ol", "rhel", "rocky"):
        assert series[distro] == {"8", "9", "10"}
    assert series["centos"] == {"stream8", "stream9", "stream10"}
    assert series["amzn"] == {"2", "2023"}
    assert {"15.6", "16.0", "tumbleweed"} == series["opensuse"]
    written = {
        (entry.distro, entry.series, name.partition(" ")[2])
        for entry in settings.targets
        for repository in entry.repositories
        for name in repository.named(entry.targets)
    }
    family = ("almalinux", "centos", "rhel", "rocky")
    real_time = {(distro, each) for distro, each, name in written if name == "rt"}
    assert real_time == {(distro, each) for distro in family for each in series[distro]}
    for release in series["fedora"]:
        assert {("fedora", release, name) for name in ("releases", "updates", "updates-archive")} <= written
    assert ("fedora", "43", "koji") in written
    assert series["bottlerocket"] == {"aws", "metal", "vmware"}
    assert {("amzn", "2023", "core"), ("amzn", "2023", "kernel-livepatch"), ("ol", "9", "uekr8")} <= written
    assert {name for distro, _, name in written if distro == "arch"} == {
        "core",
        "core archive",
        "extra",
        "extra archive",
    }


def test_ubuntu_as_shipped() -> None:
    settings = load(SHIPPED)
    ubuntu = [entry for entry in settings.targets if entry.distro == "ubuntu"]
    assert [(entry.series, entry.compiler) for entry in ubuntu] == [
        ("focal", "gcc-9"),
        ("jammy", "gcc-11"),
        ("noble", "gcc-13"),
        ("resolute", "gcc-15"),
    ]
    for entry in ubuntu:
        assert [name for repository in entry.repositories for name in repository.named(entry.targets)] == [
            f"{entry.series}{pocket} main restricted universe multiverse {arch}"
            for arch in ("amd64", "arm64")
            for pocket in ("", "-updates", "-security")
        ]
        apt = [repository for repository in entry.repositories if isinstance(repository, AptAt)]
        assert {each.mirror for each in apt} == {"", "ubuntu-security", "ubuntu-ports"}


def test_each_architecture_is_read_from_its_own_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(SHIPPED, tmp_path / "config")
    path = tmp_path / "config" / "targets.yml"
    path.write_text(path.read_text().replace("enabled: false", "enabled: true"))
    keyrings = tmp_path / "keyrings"
    keyrings.mkdir()
    (keyrings / "ubuntu-archive-keyring.gpg").touch()
    (keyrings / "debian-archive-keyring.gpg").touch()
    monkeypatch.setattr("kmodci.mirrors._FOLDER", keyrings)
    settings = load(tmp_path / "config")
    both = repositories(settings, Scope(modules=(), kernels=("ubuntu-noble-*/*",)))
    main = "main restricted universe multiverse"
    assert {name: (each.arches, each.mirrors[0], each.compiler) for name, each in both.items()} == {
        f"noble {main} amd64": (("amd64",), "http://archive.ubuntu.com/ubuntu", "gcc-13"),
        f"noble-updates {main} amd64": (("amd64",), "http://archive.ubuntu.com/ubuntu", "gcc-13"),
        f"noble-security {main} amd64": (("amd64",), "http://security.ubuntu.com/ubuntu", "gcc-13"),
        f"noble {main} arm64": (("arm64",), "http://ports.ubuntu.com/ubuntu-ports", "gcc-13"),
        f"noble-updates {main} arm64": (("arm64",), "http://ports.ubuntu.com/ubuntu-ports", "gcc-13"),
        f"noble-security {main} arm64": (("arm64",), "http://ports.ubuntu.com/ubuntu-ports", "gcc-13"),
    }
    keys = {each.index.keyrings for each in both.values() if isinstance(each.index, AptIndex)}
    assert keys == {(keyrings / "ubuntu-archive-keyring.gpg",)}
    arm = repositories(settings, Scope(modules=(), kernels=("ubuntu-noble-arm64/*",)))
    assert {each.arches for each in arm.values()} == {("arm64",)}
    assert all("ports" in each.mirrors[0] for each in arm.values())


def test_an_image_is_made_of_suites_for_the_machine_that_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmodci.mirrors._FOLDER", tmp_path)
    (tmp_path / "ubuntu-archive-keyring.gpg").touch()
    suites = suites_of(load(SHIPPED), recipe("gcc-13", distro="ubuntu", series="noble"))
    assert [(each.url, each.suite) for each in suites] == [
        ("http://archive.ubuntu.com/ubuntu", "noble"),
        ("http://security.ubuntu.com/ubuntu", "noble-security"),
    ]
    assert suites[0].components == ("main", "restricted", "universe", "multiverse")
    assert {each.keyring for each in suites} == {tmp_path / "ubuntu-archive-keyring.gpg"}


def test_the_oldest_compiler_is_of_debians_archive(tmp_path: Path) -> None:
    """Off as shipped: what is between here and the archive may not let it through."""
    shutil.copytree(SHIPPED, tmp_path / "config")
    assert nearest("gcc-8", recipes_of(load(SHIPPED))) == "gcc-9"
    path = tmp_path / "config" / "targets.yml"
    path.write_text(path.read_text().replace("series: buster, enabled: false}", "series: buster}"))
    settings = load(tmp_path / "config")
    recipes = recipes_of(settings)
    assert [nearest(f"gcc-{number}", recipes) for number in (4, 8, 9)] == ["gcc-8", "gcc-8", "gcc-9"]
    assert {"gcc-8", "gcc-8-aarch64-linux-gnu"} <= set(recipes["gcc-8"].packages)
    [suite] = suites_of(settings, recipes["gcc-8"])
    assert (suite.url, suite.suite) == ("https://archive.debian.org/debian", "buster")
    assert suite.keyring == Path("/usr/share/keyrings/debian-archive-removed-keys.gpg")


def test_a_package_of_two_mirrors_is_one_module(tmp_path: Path) -> None:
    """Ubuntu's archive and its ports list the same package for all architectures."""
    shutil.copytree(SHIPPED, tmp_path / "config")
    path = tmp_path / "config" / "targets.yml"
    path.write_text(path.read_text().replace("enabled: false", "enabled: true"))
    (tmp_path / "config" / "modules.yml").write_text(
        "modules: {loop: {source: {debian: v4l2loopback-dkms, suite: noble}}}\n"
    )
    (tmp_path / "config" / "known-failures.yml").write_text("known_failures: []\n")
    (tmp_path / "config" / "kmodci.yml").write_text("scopes: {all: {}}\n")
    settings = load(tmp_path / "config")
    assert packages(settings, settings.find_scope()) == {
        "noble main restricted universe multiverse amd64": {"v4l2loopback-dkms": "loop"}
    }


def test_the_shipped_examples_are_right(tmp_path: Path) -> None:
    """What the comments of config/ suggest to write is accepted."""
    for name in FILES:
        lines = (SHIPPED / name).read_text().splitlines()
        (tmp_path / name).write_text("\n".join(line for line in lines if not line.startswith("#")))
    kmodci = (SHIPPED / "kmodci.yml").read_text()
    kmodci = _uncommented(kmodci, ("bucket:", "database:", "url:", "login:", "images:")).replace("/etc/kmodci/", "")
    (tmp_path / "kmodci.yml").write_text(kmodci)
    for name in ("s3-credentials", "github-secret", "pgpass"):
        (tmp_path / name).touch(mode=0o600)
    (tmp_path / "targets.yml").write_text((SHIPPED / "targets.yml").read_text().replace("\n#   ", "\n  "))
    (tmp_path / "modules.yml").write_text(
        """\
modules:
  a: {source: {git: https://example.com/module.git, ref: main}}
  b: {source: {git: https://example.com/module.git, tags: "v*"}}
  c:
    source: {path: ../../my-module}
    version: "1.10"
    build: make -C "$KERNEL_DIR" M="$PWD" modules
    artifacts: ["*.ko"]
    kernels: {include: ["debian-*-amd64/*"], exclude: ["*/5.10.*"]}
    limits: {memory: 4GiB, time: 1h}
  v4l2loopback: {source: {debian: v4l2loopback-dkms, suite: sid}}
"""
    )
    settings = load(tmp_path)
    assert settings.bucket is not None and settings.bucket.region == "us-east-1"
    assert settings.database_url.startswith("postgresql://kmodci@db.example.com/kmodci?passfile=%2F")
    assert settings.images == "unix:///run/kmodci-images/images.sock"
    assert settings.web.address == "https://kmodci.example.com/"
    assert settings.mirrors["debian"] == ("https://mirror.example.com/debian",)
    both = ("https://mirror.example.com/debian-security", "https://mirror.example.org/debian-security")
    assert settings.mirrors["debian-security"] == both
    assert settings.modules["a"].source == GitSource(git="https://example.com/module.git", ref="main")
    assert settings.modules["c"].version == "1.10"
    assert settings.limits_of("c").model_dump() == settings.limits.model_dump() | {"memory": 4 << 30, "time": 3600}


def _uncommented(text: str, keys: tuple[str, ...]) -> str:
    """The text with the commented-out settings of these keys, up to the next comment that is none."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        inside = line.startswith("# ") and (line[2:].split()[0] in keys or (inside and line.startswith("#   ")))
        # `url` is shown below the mapping that it belongs to
        lines.append(("  " if line.startswith("# url:") else "") + line[2:] if inside else line)
    return "\n".join(lines)


def test_all_files_are_read_before_any_mistake_is_told(problems: Problems) -> None:
    found = problems(
        kmodci="web: {prot: 1}\n",
        targets="targets: []\n",
        modules="modules:\n  scap:\n    source: {gti: 'https://example.com/a'}\n",
        known_failures="known_failures: [{builds: scap/*}]\n",
    )
    assert found == (
        "kmodci.yml:1: unknown key 'prot' (did you mean 'port'?)",
        "targets.yml:1: toolchains is missing",
        "targets.yml:1: targets: should not be empty",
        "modules.yml:3: modules.scap.source: should have exactly one of git:, tarball:, path:, debian:",
        "known-failures.yml:1: known_failures[0].reason is missing",
    )


def test_a_host_with_everything(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    shutil.copytree(SHIPPED, folder)
    (folder / "kmodci.yml").write_text(
        "hosts:\n"
        "  near: {docker_host: 'unix:///run/docker.sock', cross: []}\n"
        "  far:\n"
        "    docker_host: tcp://10.0.0.7:2376\n"
        "    tls: {ca: tls/ca.pem, cert: tls/cert.pem, key: tls/key.pem}\n"
        "    workers: 16\n"
        "    labels: [fast, secure]\n"
        "  other: {docker_host: 'ssh://kmodci@far', same_machine: no}\n"
    )
    key = folder / "tls" / "key.pem"
    key.parent.mkdir()
    key.touch(0o644)
    with pytest.raises(SettingsError, match=r"kmodci.yml:5: hosts.far.tls.key: .*key.pem"):
        load(folder)
    key.chmod(0o600)
    hosts = {name: each.host(name) for name, each in load(folder).build_hosts.items()}
    assert list(hosts) == ["near", "far", "other"]
    assert (hosts["near"].same_machine, hosts["far"].same_machine, hosts["other"].same_machine) == (True, False, False)
    assert hosts["far"].tls == Tls(**{name: folder / "tls" / f"{name}.pem" for name in ("ca", "cert", "key")})
    assert (hosts["far"].arches, hosts["far"].cross, hosts["near"].cross) == ({"amd64"}, {"arm64"}, set())
    assert hosts["far"].labels == {"fast", "secure"}


def test_a_native_host(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    shutil.copytree(SHIPPED, folder)
    hosts = "hosts: {pc: {docker_host: 'unix:///a'}, ampere: {docker_host: 'ssh://b', arches: [arm64]}}\n"
    (folder / "kmodci.yml").write_text(hosts)
    settings = load(folder)
    ampere = settings.build_hosts["ampere"].host("ampere")
    assert (ampere.arch, ampere.cross) == ("arm64", set())
    labels = images_of(settings, recipes_of(settings))
    assert {"gcc-12", "gcc-12-arm64"} <= labels.keys()
    assert {made.arch for made in labels.values()} == {"amd64", "arm64"}
    targets = folder / "targets.yml"
    targets.write_text(re.sub("series: (bookworm|trixie)", r"series: not\1", targets.read_text()))
    with pytest.raises(
        SettingsError, match=r"its worker is made of Debian's python3 for arm64, and targets\.yml has none"
    ):
        load(folder)


def test_a_farm_that_says_nothing_has_one_host_and_engine_is_short_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    shutil.copytree(SHIPPED, folder)
    for text in ("scope: all", "engine: {workers: auto}", "hosts: {}"):
        (folder / "kmodci.yml").write_text(text)
        [(name, host)] = load(folder).build_hosts.items()
        assert (name, host.docker_host, host.workers) == ("local", "unix:///var/run/docker.sock", "auto")


def test_labels_that_no_host_has(problems: Problems) -> None:
    text = (SHIPPED / "modules.yml").read_text().replace("  scap:\n", "  scap:\n    labels: [fats]\n")
    (problem,) = problems(modules=text, kmodci="hosts:\n  a: {docker_host: 'unix:///a', labels: [fast]}")
    assert "no host of kmodci.yml has fats (did you mean 'fast'?)" in problem
    assert problem.startswith("modules.yml:")


TARGETS = """\
toolchains:
  gcc-12: {distro: debian, series: bookwrm}
targets:
  - distro: debian
    series: bookworm
    arches: [amd64]
    repositories:
      - {suite: bookworm}
      - {suite: bookworm}
      - {suite: sid, check_valid_until: no}
"""


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("scope: al", 1, "no scope 'al' in scopes (did you mean 'all'?)"),
        ("scopes:\n  all: {modules: [scapp]}", 2, "no module 'scapp' in modules.yml (did you mean 'scap'?)"),
        (
            "scopes:\n  all: {kernels: [debian-trixe-amd64/*]}",
            2,
            "fits no target of targets.yml (did you mean",
        ),
        ("limits: {memory: 1MiB}", 1, "limits.memory: should be greater than or equal to 67108864, not '1MiB'"),
        ("limits: {time: 5}", 1, "limits.time: not a duration: '5' (write it as 90s, 30m, 1h30m or 2d)"),
        (
            "engine: {docker_host: /docker.sock}",
            1,
            "docker_host: not a URL that can be used here: '/docker.sock'",
        ),
        (
            "engine: {docker_host: 'ssh://me:secret@far'}",
            1,
            "docker_host: a URL may not hold a password",
        ),
        (
            "engine: {docker_host: 'tcp://far:2376'}",
            1,
            "engine: tcp:// without tls:, and who reaches such an engine",
        ),
        ("engine: {tls: none}", 1, "engine: tls: is for tcp://"),
        (
            "engine: {workers: 2}\nhosts: {a: {docker_host: 'unix:///a'}}",
            1,
            "engine: is short for a single host",
        ),
        ("hosts:\n  a: {workers: 2}", 2, "a host is a Docker engine or a cluster: say docker_host:, or kubernetes:"),
        ("hosts:\n  A_1: {docker_host: 'unix:///a'}", 2, "not a host's name (small letters, digits, -): 'A_1'"),
        (
            "hosts:\n  a: {docker_host: 'unix:///a'}\n  b: {docker_host: 'unix:///a'}",
            3,
            "b is the same engine as a",
        ),
        (
            "hosts:\n  a: {workers: 2, kubernetes: {server: 'https://k', cert: c, key: /dev/null, images: farm.test}}",
            2,
            "others may read it",
        ),
        (
            "hosts:\n  a: {docker_host: 'unix:///a', arches: [amd64, arm64]}",
            2,
            "arches: is what the machine itself runs on, and that is one; for others there is cross:",
        ),
        (
            "hosts:\n  a: {docker_host: 'unix:///a'}\n  b: {docker_host: 'unix:///b', arches: [arm64], cross: [amd64]}",
            3,
            "cross: is for amd64 hosts: images of others have their own compiler only",
        ),
        (
            "hosts:\n  a: {docker_host: 'unix:///a', cross: []}",
            1,
            "no host builds for arm64, which targets.yml follows",
        ),
    ],
)
def test_a_mistake_in_kmodci_yml(problems: Problems, text: str, line: int, told: str) -> None:
    (problem,) = problems(kmodci=text)
    assert problem.startswith(f"kmodci.yml:{line}: ")
    assert told in problem


TARGETS = """\
toolchains:
  gcc-12: {distro: debian, series: bookwrm}
targets:
  - distro: debian
    series: bookworm
    arches: [amd64]
    repositories:
      - {suite: bookworm}
      - {suite: bookworm}
      - {suite: sid, check_valid_until: no, reason: it lags}
mirrors: {debain: https://mirror.example.com/debian}
"""


def test_mistakes_in_targets_yml(problems: Problems) -> None:
    reason = "check_valid_until: false needs a reason: an index that may be old hides new kernels"
    no_reason = TARGETS.replace(", reason: it lags", "")
    assert problems(targets=no_reason) == (f"targets.yml:10: targets[0].repositories[2]: {reason}",)


@pytest.mark.parametrize(
    ("repository", "told"),
    [
        ("{suite: sid, arches: [arm64]}", "4: targets[0]: repositories[2]: arm64 is none of its arches"),
        ("{suite: sid, component: []}", "10: targets[0].repositories[2].component: should not be empty"),
    ],
)
def test_a_repository_of_other_architectures_or_of_nothing(problems: Problems, repository: str, told: str) -> None:
    text = TARGETS.replace("{suite: sid, check_valid_until: no, reason: it lags}", repository)
    assert problems(targets=text) == (f"targets.yml:{told}",)


def test_mistakes_between_the_parts_of_targets_yml(problems: Problems) -> None:
    found = problems(targets=TARGETS, kmodci="")
    assert found == (
        "targets.yml:2: debian bookwrm is none of targets: (did you mean 'bookworm'?)",
        "targets.yml:9: bookworm main is here twice",
        "targets.yml:11: no repository uses this mirror (did you mean 'debian'?)",
    )


RPM = "{name: baseos, rpm: 9/BaseOS/$basearch/os, signed: packages, keyring: k}"
RPM_TARGETS = """\
toolchains: {gcc-12: {distro: debian, series: sid}}
targets:
  - {distro: debian, series: sid, arches: [amd64], repositories: [{suite: sid}]}
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("9/BaseOS/$basearch/os", "../x", "neither a path below a mirror nor a URL: '../x'"),
        ("9/BaseOS/$basearch/os", "9/$releasever/os", "neither a path below a mirror nor a URL"),
        ("9/BaseOS/$basearch/os", "https://a/../b", "neither a path below a mirror nor a URL"),
        ("9/BaseOS/$basearch/os", "ftp://a/b", "not a URL that can be used here"),
        ("9/BaseOS/$basearch/os", "https://a/b, mirror: debian", "rpm: is a whole URL, so there is no mirror:"),
        ("signed: packages, ", "", "signed is missing"),
        ("signed: packages", "signed: yes", "signed: should be 'index', 'packages' or 'no', not 'yes'"),
        (", keyring: k", "", "signed: packages needs a keyring: the file with the vendor's keys"),
        ("signed: packages", "signed: no", "signed: no needs a reason: whoever is between here and the mirror"),
        ("name: baseos", "name: a b", "name: not a name: 'a b'"),
        ("name: baseos", "suite: sid, name: baseos", f"should have exactly one of {KINDS}"),
        ("name: baseos", "name: baseos, arches: [i386]", "arches[0]: should be 'amd64' or 'arm64'"),
    ],
)
def test_a_mistake_in_an_rpm_repository(problems: Problems, old: str, new: str, told: str) -> None:
    (problem,) = problems(targets=f"{RPM_TARGETS}{RPM_SERIES.format(RPM.replace(old, new))}", kmodci="")
    assert told in problem
    assert problem.startswith("targets.yml:")


RPM_SERIES = """\
  - {{distro: almalinux, series: 9, arches: [amd64, arm64], repositories: [{}]}}
"""


PACMAN = "{pacman: core, mirror: 'https://a.example', signed: packages, keyring: k}"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("pacman: core", "pacman: ../core", "pacman: not a name: '../core'"),
        ("https://a.example", "ftp://a.example", "mirror: not a URL that can be used here"),
        ("keyring: k", "keyring: k, archive_since: yesterday", "archive_since: "),
        (
            "signed: packages",
            "signed: index, archive_since: 2026-11-01",
            "signed: index cannot be: an archive does not",
        ),
        (", keyring: k", "", "signed: packages needs a keyring"),
        ("pacman: core", "pacman: core, koji: kernel", f"should have exactly one of {KINDS}"),
    ],
)
def test_a_mistake_in_a_pacman_repository(problems: Problems, old: str, new: str, told: str) -> None:
    series = f"  - {{distro: arch, series: rolling, arches: [amd64], repositories: [{PACMAN.replace(old, new)}]}}"
    (problem,) = problems(targets=f"{RPM_TARGETS}{series}\n", kmodci="")
    assert told in problem


def test_arch_has_one_architecture(problems: Problems) -> None:
    series = f"  - {{distro: arch, series: rolling, arches: [amd64, arm64], repositories: [{PACMAN}]}}"
    (problem,) = problems(targets=f"{RPM_TARGETS}{series}\n", kmodci="")
    assert "arches: Arch has amd64 only (Arch Linux ARM is another project" in problem


KOJI = (
    "{name: koji, koji: kernel, hub: 'https://h.example/kojihub', files: 'https://f.example', builds: '*.fc43',"
    " signed: packages, key: 31645531, keyring: k}"
)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("koji: kernel", "koji: a/b", "koji: not a name: 'a/b'"),
        (
            "hub: 'https:",
            "hub: 'http:",
            "hub: and files: should be https:// (or say `insecure: true` with a `reason:`)",
        ),
        ("files: 'https:", "files: 'http:", "hub: and files: should be https://"),
        ("name: koji", "name: koji, insecure: true", "insecure: true needs a reason: whoever is between"),
        ("key: 31645531, ", "", "signed: packages needs a key: the id of the vendor's"),
        ("key: 31645531", "key: '3164553A'", "not the id of a key: 8 hex digits: '3164553A'"),
        ("signed: packages", "signed: index", "signed: index cannot be: a hub signs nothing"),
        ("*.fc43", "*.fc43; x", "not a pattern of releases (*.fc42): '*.fc43; x'"),
        ("name: koji", "name: koji, newest: 0", "newest: should be greater than or equal to 1"),
        ("files: 'https://f.example', ", "", "files is missing"),
    ],
)
def test_a_mistake_in_a_koji_repository(problems: Problems, old: str, new: str, told: str) -> None:
    series = f"  - {{distro: fedora, series: 43, arches: [amd64], repositories: [{KOJI.replace(old, new)}]}}"
    (problem,) = problems(targets=f"{RPM_TARGETS}{series}\n", kmodci="")
    assert told in problem


def test_an_rpm_repository_that_is_here_twice(problems: Problems) -> None:
    found = problems(targets=f"{RPM_TARGETS}{RPM_SERIES.format(f'{RPM}, {RPM}')}", kmodci="")
    assert [problem.partition(": ")[2] for problem in found] == [
        "almalinux-9-amd64 baseos is here twice",
        "almalinux-9-arm64 baseos is here twice",
    ]


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("{source: {debian: a-dkms, suite: sidd}}", "targets.yml follows no suite 'sidd' (did you mean 'sid'?)"),
        ("{source: {path: x}}", "modules.a: a tarball or a folder has no version of its own: say version:"),
        ("{source: {path: x, git: y}}", "modules.a.source: should have exactly one of git:, tarball:, path:, debian:"),
        ("{source: {path: x}, version: ../1}", "modules.a.version: not a module version: '../1'"),
        ("{source: {path: x}, version: 1, build: make}", "modules.a: build: (how to build it) and artifacts: (what"),
        ("{source: {path: x}, version: 1, build: make, artifacts: [../x.ko]}", "not a pattern of module files below"),
        ("{source: {git: 'ext::sh -c id', ref: main}}", "modules.a.source.git: not a URL that can be used here"),
        (
            "{source: {git: 'https://x.y/a', ref: --exec=id}}",
            "ref: not a git branch, tag or commit: '--exec=id'",
        ),
        ("{source: {git: 'https://x.y/a', ref: v1, tags: v*}}", "needs either ref: (a branch, tag or commit) or tags:"),
        ("{source: {tarball: 'https://x.y/a', sha256: 12}, version: 1}", "source.sha256: not a SHA256"),
    ],
)
def test_a_mistake_in_modules_yml(problems: Problems, module: str, told: str) -> None:
    (problem,) = problems(kmodci="", modules=f"modules:\n  a: {module}\n")
    assert problem.startswith("modules.yml:2: ")
    assert told in problem


def test_a_module_name_that_the_bucket_has_another_use_for(problems: Problems) -> None:
    (problem,) = problems(kmodci="", modules="modules:\n  kernel-crawler: {source: {path: x}, version: 1}\n")
    assert "no module can be called kernel-crawler: the bucket has lists of kernels under that name" in problem


def test_a_module_name_that_could_climb(problems: Problems) -> None:
    (problem,) = problems(kmodci="", modules="modules:\n  ../a: {source: {path: x}, version: 1}\n")
    assert problem.startswith("modules.yml:2: modules.../a: not a module: '../a'")


def test_known_failures_that_fit_nothing(problems: Problems) -> None:
    text = """\
known_failures:
  - {builds: scp/*/*, reason: a}
  - builds: scap/debian-sdi-amd64/*
    reason: b
"""
    near = " (did you mean 'debian-sid-amd64'?)"
    assert problems(known_failures=text) == (
        "known-failures.yml:2: 'scp/*/*' fits no module of modules.yml (did you mean 'scap'?)",
        f"known-failures.yml:3: 'scap/debian-sdi-amd64/*' fits no target of targets.yml{near}",
    )


def test_a_missing_file_and_a_missing_folder(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    with pytest.raises(SettingsError, match=r"config: no such folder .* say --config"):
        load(folder)
    shutil.copytree(SHIPPED, folder)
    (folder / "modules.yml").unlink()
    with pytest.raises(SettingsError) as caught:
        load(folder)
    assert caught.value.problems == (f"{folder}/modules.yml:1: no such file or directory",)
    assert caught.value.exit_code == 2


def test_scopes_by_name() -> None:
    settings = load(SHIPPED)
    assert settings.find_scope() == settings.scopes["all"]
    assert settings.find_scope("first-look").newest == 7
    with pytest.raises(NotFound, match="did you mean 'first-look'"):
        settings.find_scope("first-lok")


def test_a_known_failure_holds_to_the_end_of_its_last_day(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    (tmp_path / "known-failures.yml").write_text(
        "known_failures:\n- {builds: scap/*, reason: a, until: 2026-11-23}\n- {builds: scap/*, reason: a}\n"
    )
    first, second = load(tmp_path).known_failures
    assert [first.holds(date(2026, 11, day)) for day in (22, 23, 24)] == [True, True, False]
    assert second.holds(date(2036, 11, 24))


SOURCE = f"""{{release: 6.12.59-flatcar, tarball: https://example.org/linux.tar.xz, sha256: {"a" * 64},
        config: https://example.org/config, config_sha256: {"b" * 64}}}"""
SOURCES = (
    RPM_TARGETS
    + """\
  - {distro: flatcar, series: stable, arches: [amd64], repositories: [{name: by-hand, sources: [%s]}]}
"""
)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("6.12.59-flatcar", "6.12.59-$(id)", "release: not a kernel release: '6.12.59-$(id)'"),
        ("6.12.59-flatcar", "../../x", "release: not a kernel release"),
        ("a" * 64, "a" * 63, "sha256: not a SHA256"),
        ("https://example.org/linux", "file:///linux", "tarball: not a URL that can be used here"),
        (f", config_sha256: {'b' * 64}", "", "config: https://example.org/config needs config_sha256"),
        (
            "config_sha256",
            "symvers: https://example.org/s, config_sha256",
            "symvers: https://example.org/s needs symvers_sha256",
        ),
        ("config: https", "config: ftp", "config: not a URL that can be used here"),
        ("sources: [", "sources: [], x: [", "sources: should not be empty"),
        ("name: by-hand", "name: by-hand, suite: sid", "should have exactly one of suite:, rpm:"),
    ],
)
def test_a_mistake_in_a_kernel_from_source(problems: Problems, old: str, new: str, told: str) -> None:
    text = SOURCES % SOURCE
    assert old in text
    assert told in problems(targets=text.replace(old, new), kmodci="")[0]


def test_kernels_from_source(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "config")
    own = SOURCE.replace("https://example.org/config", "../my/config")
    (tmp_path / "config/targets.yml").write_text(SOURCES % own)
    (tmp_path / "config/kmodci.yml").write_text("")
    (tmp_path / "config/known-failures.yml").write_text("")
    settings = load(tmp_path / "config")
    [found] = [each for entry in settings.targets for each in entry.repositories if isinstance(each, SourcesAt)]
    assert found.named(settings.targets[1].targets).keys() == {"flatcar-stable by-hand"}
    assert found.sources[0].config == str(tmp_path / "my/config")
    assert trusted(settings)["flatcar-stable by-hand"] == Trust()
    repository = repositories(settings, Scope())["flatcar-stable by-hand"]
    assert repository.index == SourcesIndex(kernels=(SourceKernel(**dict(found.sources[0])),))


def test_a_secret_of_a_url_or_one_that_others_may_read_is_refused(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "s3").touch(mode=0o644)
    at = tmp_path / "s3"
    found = problems(kmodci=f"bucket: {{endpoint: 'https://a:b@c', credentials_file: {at}}}")
    assert found[0] == "kmodci.yml:1: bucket.endpoint: a URL may not hold a password"
    assert found[1].startswith(f"kmodci.yml:1: bucket.credentials_file: {at}: others may read it (chmod 600 {at}")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("web: {host: 0.0.0.0}", "web.host: 0.0.0.0 can be reached from other machines: say in login: who may read"),
        ("web: {host: farm.example.org}", "web.host: farm.example.org can be reached from other machines"),
        ("login: {read: never}", "login.read: "),
        ("login: {session: 10s}", "login.session: "),
        ("login: {roles: {build: {users: [a]}}}", "login: roles: is for other ways to log in"),
        ("login: {proxy: {}}", "login: who logs in by proxy may do nothing yet"),
        (
            "login: {proxy: {}, roles: {build: {users: [a]}}}",
            "login.proxy: that header is believed from web.proxies alone",
        ),
        ("login: {proxy: {header: 'X Y'}, roles: {build: {users: [a]}}}", "login.proxy.header: not a header's name"),
        ("login: {proxy: {}, users: u, roles: {build: {users: [a]}}}", "login: users: is of passwords"),
        ("login: {proxy: {}, roles: {admin: {users: [a]}}}", "login.roles.admin"),
        ("login: {proxy: {}, roles: {build: {users: [Anonymous]}}}", "anonymous is who has not logged in"),
        ("login: {proxy: {}, roles: {build: {emails: [a]}}}", "not a mail address"),
        ("login: {proxy: {}, roles: {build: {domains: ['*.org']}}}", "not a domain"),
        ("login: {google: {client_id: a, client_secret: b}, roles: {}}", "unknown key 'client_secret'"),
        ("login: {github: {client_id: a, client_secret_file: nowhere}}", "nowhere: no such file"),
    ],
)
def test_mistakes_in_login(problems: Problems, text: str, what: str) -> None:
    assert what in "\n".join(problems(kmodci=text))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_loopback_nothing_has_to_be_said_of_login(tmp_path: Path, host: str) -> None:
    shutil.copytree(SHIPPED, tmp_path / "config")
    (tmp_path / "config" / "kmodci.yml").write_text(f"web: {{host: '{host}'}}")
    settings = load(tmp_path / "config")
    assert (settings.login.read, settings.login.way) == ("open", "password")
    (tmp_path / "config" / "kmodci.yml").write_text("web: {host: 0.0.0.0}\nlogin: {read: login}")
    assert load(tmp_path / "config").web.is_local is False


def test_a_file_of_users_that_others_may_read_is_refused(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "users").touch(mode=0o640)
    assert "users: others may read it" in problems(kmodci=f"login: {{users: {tmp_path / 'users'}}}")[0]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://kmodci:secret@db/kmodci",
        "postgresql://kmodci:@db/kmodci",
        "postgresql+psycopg://kmodci@db/kmodci?password=secret",
        "postgresql://kmodci@db/kmodci?sslmode=require&password=",
    ],
)
def test_no_password_in_the_address_of_a_database(problems: Problems, url: str) -> None:
    [told] = problems(kmodci=f"database: {{url: '{url}'}}")
    assert told == "kmodci.yml:1: database.url: a URL may not hold a password: passfile: names the file that has it"


def test_where_the_password_of_a_database_is(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "open").touch(mode=0o644)
    [told] = problems(kmodci=f"database: {{url: 'postgresql://db/x', passfile: {tmp_path}/open}}")
    assert "others may read it" in told


def test_sqlite_has_no_password(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o600)
    [told] = problems(kmodci=f"database: {{url: 'sqlite:////x', passfile: {tmp_path}/file}}")
    assert "passfile: is for PostgreSQL" in told


def test_both_databases_are_the_one_that_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    shutil.copytree(SHIPPED, folder)
    (folder / "p").touch(mode=0o600)
    (folder / "kmodci.yml").write_text("database: {url: 'postgresql://kmodci@db/kmodci?sslmode=require', passfile: p}")
    settings = load(folder)
    whole = f"postgresql://kmodci@db/kmodci?sslmode=require&passfile={quote(str(folder / 'p'), safe='')}"
    assert settings.database_url == buildbot_database(settings) == whole


def test_a_farm_is_called_what_its_environment_says_where_its_files_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problems: Problems
) -> None:
    folder = tmp_path / "here"
    shutil.copytree(SHIPPED, folder)
    monkeypatch.setenv("KMODCI_URL", "https://farm.example.com/")
    assert load(folder).web.address == "https://farm.example.com/"
    (folder / "kmodci.yml").write_text("web: {url: 'https://other.example.com'}")
    assert load(folder).web.address == "https://other.example.com/"
    monkeypatch.setenv("KMODCI_URL", "ftp://x")
    [told] = problems(kmodci="web: {port: 8010}")
    assert "not a URL that can be used here: 'ftp://x'" in told


def test_the_configuration_of_the_stack_is_right(tmp_path: Path) -> None:
    """But for the secrets, which only the stack has."""
    folder = tmp_path / "config"
    shutil.copytree(SHIPPED, folder, symlinks=True)
    place = folder / "compose" / "kmodci.yml"
    text = place.read_text()
    for name in re.findall(r"/run/kmodci-secrets/master/([a-z0-9-]+)", text):
        (tmp_path / name).touch(mode=0o600)
    place.write_text(text.replace("/run/kmodci-secrets/master", str(tmp_path)))
    settings = load(place.parent)
    assert not settings.build_hosts["local"].host("local").same_machine
    assert settings.modules == load(SHIPPED).modules
    assert not settings.login.is_open


@pytest.fixture
def pods(tmp_path: Path) -> str:
    """Two hosts that are the same namespace."""
    token = tmp_path / "token"
    token.write_text("secret\n")
    token.chmod(0o600)
    place = f"{{server: 'https://k', token: '{token}', images: farm.test}}"
    return "\n".join(f"  {name}: {{workers: 2, kubernetes: {place}}}" for name in ("a", "b"))


def test_a_namespace_is_one_host(problems: Problems, pods: str) -> None:
    told = problems(kmodci=f"hosts:\n  c: {{docker_host: 'unix:///c'}}\n{pods}")
    assert told == ("kmodci.yml:4: b is the same namespace as a",)


def test_builds_in_pods_are_prepared_on_an_engine(problems: Problems, pods: str) -> None:
    told = "\n".join(problems(kmodci=f"hosts:\n{pods}"))
    assert "there has to be a Docker engine of amd64 too: what pods need is prepared there" in told
