"""Repositories that are lists of kernel-crawler's: what their entries make, and what a bad list does (nothing)."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from benchmarks.webserver import Handler, WebServer, endless, redirect, status
from kmodci.discovery import Look, Repository, look
from kmodci.errors import FetchError, Gone, IndexDamaged
from kmodci.fetch import Fetcher
from kmodci.model import Evidence
from kmodci.repos.base import Wanted
from kmodci.repos.crawler import CrawlerIndex

DATA = Path(__file__).parent.parent / "data" / "crawler"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
ARCHES = ("amd64", "arm64")
NO_SOURCES = "name a mirror kernel.org in targets.yml for their sources"
HEADERS = (
    "http://a.example.org/linux-headers-6.1.0-18-amd64_6.1.76-1_amd64.deb",
    "http://a.example.org/linux-headers-6.1.0-18-common_6.1.76-1_all.deb",
    "http://a.example.org/linux-kbuild-6.1_6.1.76-1_amd64.deb",
)


def repository(address: str | Path, *arches: str, releases: tuple[str, ...] = ("*",)) -> Repository:
    return Repository(
        name="crawled",
        distro="debian",
        series="bookworm",
        arches=arches or ARCHES,
        index=CrawlerIndex(distribution="debian"),
        mirrors=(str(address),),
        compiler="gcc-12",
        releases=releases,
    )


def looked(where: Repository, known: str = "") -> Look:
    return look(where, Fetcher(timeout=5, retries=1, backoff=0.01), known_digest=known, now=NOW)


def listing(folder: Path, *entries: object) -> Repository:
    """A list of these entries in a file."""
    path = folder / "list.json"
    path.write_text(json.dumps({"debian": entries}))
    return repository(path, "amd64")


def entry(*headers: str, release: str = "6.1.76-1-amd64") -> dict[str, object]:
    return {"kernelrelease": release, "kernelversion": "1", "target": "debian", "headers": headers}


def test_releases_are_those_of_the_header_files() -> None:
    found = looked(repository(DATA / "2026" / "$basearch.json"))
    assert sorted(str(kernel) for kernel in found.kernels) == [
        "debian-bookworm-amd64/6.1.0-18-amd64",
        "debian-bookworm-amd64/6.1.0-18-cloud-amd64",
        "debian-bookworm-amd64/6.1.0-18-rt-amd64",
        "debian-bookworm-amd64/6.12.117+deb13-amd64",
        "debian-bookworm-arm64/6.1.0-18-arm64",
        "debian-bookworm-arm64/6.1.0-18-cloud-arm64",
        "debian-bookworm-arm64/6.1.0-18-rt-arm64",
        "debian-bookworm-arm64/6.12.117+deb13-arm64",
        "debian-bookworm-arm64/6.12.117+deb13-arm64-16k",
    ]
    assert {(kernel.toolchain, kernel.evidence) for kernel in found.kernels} == {("gcc-12", Evidence.SERIES)}
    assert not any(package.sha256 or package.size for kernel in found.kernels for package in kernel.headers)


def test_one_entry_of_the_first_schema_has_a_kernel_of_every_flavour() -> None:
    found = looked(repository(DATA / "2022" / "$basearch.json"))
    parts = {kernel.release: [package.name for package in kernel.headers] for kernel in found.kernels}
    assert sorted(parts) == sorted(f"5.10.0-16-{flavour}{arch}" for flavour in ("", "cloud-", "rt-") for arch in ARCHES)
    assert parts["5.10.0-16-rt-arm64"] == [
        "linux-headers-5.10.0-16-rt-arm64",
        "linux-headers-5.10.0-16-common-rt",
        "linux-kbuild-5.10",
    ]
    assert parts["5.10.0-16-cloud-amd64"][1] == "linux-headers-5.10.0-16-common"
    assert found.problems == ()


def test_programs_of_arm64_kernels_are_those_that_the_other_list_has_for_amd64(tmp_path: Path) -> None:
    both = looked(repository(DATA / "2022" / "$basearch.json", "arm64"))
    assert {kernel.target.arch for kernel in both.kernels} == {"arm64"}
    assert {kernel.headers[2].arch for kernel in both.kernels} == {"amd64"}
    (tmp_path / "aarch64.json").write_bytes((DATA / "2022" / "aarch64.json").read_bytes())
    other = json.dumps({"debian": [entry(*HEADERS)]})
    (tmp_path / "x86_64.json").write_text(other)
    alone = looked(repository(tmp_path / "$basearch.json", "arm64"))
    assert alone.kernels == ()
    assert all("needs linux-kbuild-5.10 for amd64" in problem for problem in alone.problems)
    assert len(alone.problems) == 3


def test_what_an_entry_names_is_used_and_a_mismatch_is_told() -> None:
    found = looked(repository(DATA / "2026" / "$basearch.json", "amd64"))
    [kernel] = [kernel for kernel in found.kernels if kernel.release == "6.1.0-18-amd64"]
    assert [package.version for package in kernel.headers] == ["6.1.76-1", "6.1.76-1", "6.1.180-1~deb11u1"]
    told = "linux-headers-6.1.0-18-amd64 6.1.76-1 comes with linux-kbuild-6.1 6.1.180-1~deb11u1"
    assert f"'6.1.76-1-amd64' #'1': {told}" in found.problems
    assert not any("6.12.117" in problem for problem in found.problems)


def test_of_several_programs_those_of_the_same_version_are_used(tmp_path: Path) -> None:
    newer = HEADERS[2].replace("6.1.76-1", "6.1.90-1")
    found = looked(listing(tmp_path, entry(newer, *HEADERS)))
    assert [package.version for package in found.kernels[0].headers] == ["6.1.76-1"] * 3
    assert found.problems == ()


def test_a_package_on_several_mirrors_is_one(tmp_path: Path) -> None:
    mirrored = [url.replace("a.example", f"{host}.example") for host in "ab" for url in HEADERS]
    assert looked(listing(tmp_path, entry(*mirrored))).kernels == looked(listing(tmp_path, entry(*HEADERS))).kernels


def test_of_a_release_that_is_listed_twice_the_newest_version_counts(tmp_path: Path) -> None:
    newer = [url.replace("6.1.76-1", "6.1.80-1") for url in HEADERS]
    found = looked(listing(tmp_path, entry(*newer, release="6.1.80-1-amd64"), entry(*HEADERS)))
    assert [kernel.version for kernel in found.kernels] == ["6.1.80-1"]


def test_only_the_releases_that_are_asked_for() -> None:
    address = DATA / "2026" / "$basearch.json"
    only = looked(repository(address, "amd64", releases=("6.12.*",)))
    assert [kernel.release for kernel in only.kernels] == ["6.12.117+deb13-amd64"]
    # and another question is another answer
    assert looked(repository(address, "amd64"), only.release_digest).changed


def test_without_a_compiler_of_the_series_there_is_none() -> None:
    found = looked(replace(repository(DATA / "2022" / "$basearch.json", "amd64"), compiler=""))
    assert found.kernels == ()
    assert "nothing says with which compiler it was built" in found.problems[0]


def test_two_looks_are_the_same_whatever_the_order_of_the_list(tmp_path: Path) -> None:
    entries = json.loads((DATA / "2026" / "x86_64.json").read_text())["debian"]
    first = looked(listing(tmp_path, *entries))
    turned = [{**each, "headers": each["headers"][::-1]} for each in reversed(entries)]
    second = looked(listing(tmp_path, *turned))
    assert (first.kernels, first.problems) == (second.kernels, second.problems)
    assert not looked(listing(tmp_path, *turned), first.release_digest).changed


class TestOdd:
    @pytest.mark.parametrize(
        "url",
        [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "http://a.example.org/..%2f..%2flinux-headers-6.1.0-18-amd64_6.1.76-1_amd64.deb",
            "http://a.example.org/linux-headers-6.1.0-$(id)-amd64_6.1.76-1_amd64.deb",
            "http://a.example.org/linux-headers-6.1.0-18-amd64_6.1.76-1;id_amd64.deb",
            "http://a.example.org/",
        ],
    )
    def test_a_url_is_told_and_hurts_no_other(self, tmp_path: Path, url: str) -> None:
        found = looked(listing(tmp_path, entry(url, release="x"), entry(url, *HEADERS)))
        assert [kernel.release for kernel in found.kernels] == ["6.1.0-18-amd64"]
        assert [problem.partition(": ")[0] for problem in found.problems] == ["'6.1.76-1-amd64' #'1'", "'x' #'1'"]
        assert all(problem.isprintable() for problem in found.problems)

    @pytest.mark.parametrize(
        ("headers", "told"),
        [
            (HEADERS[:2], "comes without a linux-kbuild-* of its own"),
            ((HEADERS[0], HEADERS[2]), "comes without a linux-headers-*-common of its own"),
            (HEADERS[1:], "no kernel of debian for amd64 in linux-headers-6.1.0-18-common_6.1.76-1_all.deb, linux-k"),
            ((HEADERS[0], HEADERS[1], HEADERS[2].replace("6.1_", "6.10_")), "comes without a linux-kbuild-*"),
            ((HEADERS[0], HEADERS[1].replace("18-c", "1-c"), HEADERS[2]), "comes without a linux-headers-*-common"),
            (("http://a.example.org/kernel-devel-5.14.0-427.el9.x86_64.rpm",), "no kernel of debian for amd64 in kern"),
            (tuple(url.replace("amd64", "arm64") for url in HEADERS), "no kernel of debian for amd64"),
        ],
    )
    def test_headers_that_make_no_kernel(self, tmp_path: Path, headers: tuple[str, ...], told: str) -> None:
        found = looked(listing(tmp_path, entry(*headers, release="6.1.0-18-amd64"), entry(*HEADERS)))
        assert [kernel.release for kernel in found.kernels] == ["6.1.0-18-amd64"]
        [problem] = found.problems
        assert problem.startswith("'6.1.0-18-amd64' #'1': ")
        assert told in problem

    def test_a_metapackage_beside_a_kernel_is_none(self, tmp_path: Path) -> None:
        meta = ["linux-headers-amd64", "linux-headers-6.1.0-18-all", "linux-headers-6.1.0-18-all-amd64"]
        found = looked(
            listing(tmp_path, entry(*HEADERS, *(f"http://a.example.org/{m}_6.1.76-1_amd64.deb" for m in meta)))
        )
        assert len(found.kernels) == 1
        assert found.problems == ()

    def test_thousands_of_odd_entries_are_told_by_the_first_of_them(self, tmp_path: Path) -> None:
        odd = [entry(f"http://a.example.org/{number}", release=f"6.1.{number}") for number in range(5000)]
        found = looked(listing(tmp_path, *odd, entry(*HEADERS)))
        assert len(found.kernels) == 1
        assert len(found.problems) == 101
        assert found.problems[-1] == "and 4900 more like these"

    def test_kernels_without_header_packages_are_counted(self) -> None:
        for distribution, told in (
            ("minikube", f"2 kernels of x86_64 have a configuration instead of header packages: {NO_SOURCES}"),
            ("flatcar", f"1 kernels of x86_64 have a configuration instead of header packages: {NO_SOURCES}"),
            ("redhat", "1 kernels of x86_64 have no header packages"),
        ):
            index = CrawlerIndex(distribution=distribution)
            wanted = Wanted(arches=("amd64",))
            snapshot = index.look(Fetcher(), str(DATA / "2026" / "$basearch.json"), wanted, "", NOW)
            assert (snapshot.groups, snapshot.problems) == ((), (told,))


class TestServed:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[WebServer]:
        for machine in ("x86_64", "aarch64"):
            (tmp_path / machine).mkdir()
            (tmp_path / machine / "list.json").write_bytes((DATA / "2026" / f"{machine}.json").read_bytes())
        with WebServer(tmp_path) as server:
            yield server

    @pytest.fixture
    def where(self, server: WebServer) -> Repository:
        return repository(f"{server.url}/$basearch/list.json")

    def test_one_list_per_architecture(self, server: WebServer, where: Repository) -> None:
        found = looked(where)
        assert len(found.kernels) == 9
        assert sorted(server.requests) == ["/aarch64/list.json", "/x86_64/list.json"]
        assert found.kernels == looked(repository(DATA / "2026" / "$basearch.json")).kernels

    def test_the_same_content_is_no_change(self, where: Repository) -> None:
        first = looked(where)
        again = looked(where, first.release_digest)
        assert (again.changed, again.release_digest) == (False, first.release_digest)

    def test_a_list_whose_server_says_that_it_is_the_same_is_not_sent_again(
        self, server: WebServer, where: Repository
    ) -> None:
        fetcher = Fetcher(timeout=5, retries=1)
        sent: list[str] = []

        def answer(etag: str, *, change: str = "") -> Callable[[Handler], None]:
            def versioned(handler: Handler) -> None:
                same = handler.headers["If-None-Match"] == etag
                content = b"" if same else (server.folder / handler.path.lstrip("/")).read_bytes() + change.encode()
                sent.append("" if same else handler.path)
                handler.send_response(304 if same else 200)
                handler.send_header("ETag", etag)
                handler.send_header("Content-Length", str(len(content)))
                handler.end_headers()
                handler.wfile.write(content)

            return versioned

        def look_again(x86: str, arm: str, known: str, *, change: str = "") -> tuple[Look, list[str]]:
            sent.clear()
            server.misbehave("/x86_64/list.json", *[answer(x86, change=change)] * 2)
            server.misbehave("/aarch64/list.json", *[answer(arm)] * 2)
            found = look(where, fetcher, known_digest=known, now=NOW)
            return found, [*sent]

        aarch64, x86_64 = "/aarch64/list.json", "/x86_64/list.json"
        first, asked = look_again('"1"', '"2"', "")
        assert (first.changed, asked) == (True, [aarch64, x86_64])
        again, asked = look_again('"1"', '"2"', first.release_digest)
        assert (again.changed, asked) == (False, ["", ""])
        # another version need not have other kernels; the one that is the same is read with it
        other, asked = look_again('"3"', '"2"', first.release_digest, change="\n")
        assert (other.changed, asked) == (False, ["", x86_64, aarch64])
        assert other.release_digest != first.release_digest
        same, asked = look_again('"3"', '"2"', other.release_digest)
        assert (same.changed, asked) == (False, ["", ""])

    def test_what_changes_elsewhere_in_a_list_is_no_change(self, server: WebServer, where: Repository) -> None:
        first = looked(where)
        path = server.folder / "x86_64" / "list.json"
        document = json.loads(path.read_text())
        path.write_text(json.dumps({**document, "arch": [], "photon": [entry()]}))
        assert not looked(where, first.release_digest).changed
        path.write_text(json.dumps({**document, "debian": document["debian"][1:]}))
        assert looked(where, first.release_digest).changed

    @pytest.mark.parametrize(
        "content", [b"<html>down</html>", b"", b"{}", b'{"debian": []}', b"[1, 2]", b'{"debian": [']
    )
    def test_what_is_no_list_is_an_error(self, server: WebServer, where: Repository, content: bytes) -> None:
        """And so what was known stays (`watch`)."""
        (server.folder / "aarch64" / "list.json").write_bytes(content)
        with pytest.raises(IndexDamaged, match=r"^crawled at .*: "):
            looked(where)

    def test_one_that_breaks_off(self, server: WebServer, where: Repository) -> None:
        path = server.folder / "x86_64" / "list.json"
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(IndexDamaged, match="breaks off"):
            looked(where)

    @pytest.mark.slow
    def test_one_of_2_gigabytes(self, server: WebServer, where: Repository) -> None:
        server.misbehave("/x86_64/list.json", endless)
        with pytest.raises(FetchError, match="is longer than the 268435456 bytes expected"):
            looked(where)

    def test_one_that_is_not_there(self, server: WebServer, where: Repository) -> None:
        server.misbehave("/x86_64/list.json", status(404))
        with pytest.raises(Gone):
            looked(where)

    def test_a_redirect_that_never_ends(self, server: WebServer, where: Repository) -> None:
        server.misbehave("/x86_64/list.json", *[redirect("/x86_64/list.json")] * 40)
        with pytest.raises(FetchError):
            looked(where)


class TestFile:
    def test_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(FetchError, match=r"list\.json: no such file"):
            looked(repository(tmp_path / "list.json"))

    def test_that_is_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(FetchError, match="is a directory"):
            looked(repository(tmp_path))

    def test_of_2_gigabytes(self, tmp_path: Path) -> None:
        path = tmp_path / "list.json"
        with path.open("wb") as file:
            file.truncate(2 << 30)
        with pytest.raises(FetchError, match="is longer than the 268435456 bytes expected"):
            looked(repository(path))


FLATCAR = b"""#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.6.30 Kernel Configuration
#
CONFIG_X86_64=y
CONFIG_MODULES=y
CONFIG_GCC_VERSION=130200
"""
SUMS = f"""-----BEGIN PGP SIGNED MESSAGE-----

{"a" * 64}  linux-6.6.30.tar.xz
{"b" * 64}  linux-6.6.tar.xz
{"c" * 64}  patch-6.6.30.xz
{"d" * 64}  ../linux-6.6.31.tar.xz
-----BEGIN PGP SIGNATURE-----
"""


class TestSources:
    """Kernels that have a configuration instead of header packages."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[WebServer]:
        (tmp_path / "v6.x").mkdir()
        (tmp_path / "v6.x/sha256sums.asc").write_text(SUMS)
        with WebServer(tmp_path) as server:
            yield server

    def found(
        self,
        server: WebServer,
        distribution: str,
        *entries: object,
        known: str = "",
        org: bool = True,
        versions: tuple[str, ...] = ("*",),
    ) -> Look:
        (server.folder / "list.json").write_text(json.dumps({distribution: entries}))
        where = Repository(
            name="crawled",
            distro=distribution,
            series="all",
            arches=("amd64",),
            index=CrawlerIndex(distribution=distribution, kernel_org=server.url if org else "", versions=versions),
            mirrors=(str(server.folder / "list.json"),),
        )
        return looked(where, known)

    def entry(self, release: str, config: bytes = FLATCAR, version: str = "1") -> dict[str, object]:
        data = b64encode(config).decode()
        return {"kernelrelease": release, "kernelversion": version, "target": "x", "kernelconfigdata": data}

    def test_flatcars_release_is_that_of_its_system(self, server: WebServer) -> None:
        found = self.found(server, "flatcar", self.entry("3975.1.0"), self.entry("3975.2.0"))
        assert found.problems == ()
        [kernel] = found.kernels
        assert (str(kernel), kernel.version) == ("flatcar-all-amd64/6.6.30-flatcar", "3975.2.0")
        assert (kernel.toolchain, kernel.evidence) == ("gcc-13", Evidence.CONFIG)
        source, config = kernel.headers
        assert (source.kind, source.url, source.sha256) == (
            "source",
            f"{server.url}/v6.x/linux-6.6.30.tar.xz",
            "a" * 64,
        )
        assert found.contents == {config.sha256: FLATCAR}
        assert server.requests == ["/v6.x/sha256sums.asc"]

    @pytest.mark.parametrize("release", ["6.6.30", "6.6.30-talos"])
    def test_that_of_others_is_what_uname_prints(self, server: WebServer, release: str) -> None:
        entries = [self.entry(release, version=version) for version in ("1_1.32.0", "1_1.33.0")]
        [kernel] = self.found(server, "talos", *entries).kernels
        assert (kernel.release, kernel.version) == (release, "1_1.33.0")

    def test_variants_of_one_release_are_told_apart_by_their_versions(self, server: WebServer) -> None:
        """Bottlerocket's have a configuration each; what is asked for of a list that is the same is a change."""
        configs = {name: FLATCAR + f"CONFIG_OF={name}\n".encode() for name in ("aws", "metal", "vmware")}
        entries = [
            self.entry("6.6.30", configs[name], f"1_{system}-{name}")
            for name in configs
            for system in ("1.32.0", "1.9.2")
        ]
        known = ""
        for name in configs:
            found = self.found(server, "bottlerocket", *entries, known=known, versions=(f"1_*-{name}",))
            assert found.changed
            [kernel] = found.kernels
            assert (kernel.release, kernel.version) == ("6.6.30", f"1_1.32.0-{name}")
            assert list(found.contents.values()) == [configs[name]]
            # old kernels that are asked for only now have not appeared now: see `watch`
            assert found.release_digest.partition("-")[0] != known.partition("-")[0]
            known = found.release_digest
        assert not self.found(server, "bottlerocket", *entries, known=known, versions=(f"1_*-{name}",)).changed

    def test_versions_that_fit_nothing_are_told(self, server: WebServer) -> None:
        versions = ("1_1.32.0-aws", "1_1.9.2-aws")
        found = self.found(
            server, "bottlerocket", *(self.entry("6.6.30", version=each) for each in versions), versions=("1.*-aws",)
        )
        assert found.kernels == ()
        assert found.problems == (
            "no kernelversion of bottlerocket fits 1.*-aws; there are '1_1.32.0-aws', '1_1.9.2-aws'",
        )
        many = [self.entry("6.6.30", version=f"1_{number}") for number in range(9)]
        [problem] = self.found(server, "bottlerocket", *many, versions=("2",)).problems
        assert problem.endswith("'1_4' and 4 more")

    def test_where_sources_are_from_is_part_of_the_question(self, server: WebServer) -> None:
        heads = [
            self.found(server, "talos", self.entry("6.6.0-talos"), org=org).release_digest.partition("-")[0]
            for org in (False, True)
        ]
        assert heads[0] != heads[1]

    def test_a_first_release_has_a_shorter_name(self, server: WebServer) -> None:
        [kernel] = self.found(server, "talos", self.entry("6.6.0-talos")).kernels
        assert kernel.headers[0].sha256 == "b" * 64

    @pytest.mark.parametrize(
        ("release", "config", "why"),
        [
            ("6.6.31-talos", FLATCAR, "/v6.x has no linux-6.6.31.tar.xz"),
            ("7.1.1-talos", FLATCAR, "/v7.x has no linux-7.1.1.tar.xz"),
            ("6.6.30.1-talos", FLATCAR.replace(b"6.6.30", b"x"), "not a version of Linux: ''"),
            ("6.6.30-talos", b"<html></html>", "not a kernel's configuration"),
            ("6.6.30-talos", FLATCAR.replace(b"X86_64", b"ARM64"), "its configuration is for arm64"),
            ("6.6.30-talos", FLATCAR.replace(b"X86_64", b"RISCV"), "for neither amd64 nor arm64"),
            ("6.6.30-talos", FLATCAR + b"CONFIG_MODVERSIONS=y\n", "there is no Module.symvers with the CRCs"),
            ("6.6.30-$(id)", FLATCAR, "not a kernel release"),
        ],
    )
    def test_an_odd_one_takes_no_other_down(self, server: WebServer, release: str, config: bytes, why: str) -> None:
        found = self.found(server, "talos", self.entry(release, config), self.entry("6.6.30-good"))
        assert [kernel.release for kernel in found.kernels] == ["6.6.30-good"]
        [problem] = found.problems
        assert problem.startswith(f"{release!r} #'1': ")
        assert why in problem

    def test_they_are_read_once_there_is_a_mirror(self, server: WebServer) -> None:
        found = self.found(server, "talos", self.entry("6.6.30-talos"), org=False)
        assert found.kernels == ()
        assert found.problems[0].endswith(NO_SOURCES)
        again = self.found(server, "talos", self.entry("6.6.30-talos"), known=found.release_digest)
        assert len(again.kernels) == 1
        assert not self.found(server, "talos", self.entry("6.6.30-talos"), known=again.release_digest).changed

    def test_a_mirror_that_does_not_answer_says_nothing(self, server: WebServer) -> None:
        server.misbehave("/v6.x/sha256sums.asc", *[status(503)] * 9)
        with pytest.raises(FetchError, match="503"):
            self.found(server, "talos", self.entry("6.6.30-talos"))
