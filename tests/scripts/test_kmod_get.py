"""scripts/kmod-get against a bucket that the real `publish` filled: what it installs, and what it refuses."""

import hashlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kmodci.distros import DISTROS, index_place
from kmodci.manifest import IndexEntry
from kmodci.model import Target
from kmodci.osrelease import place_of
from kmodci.publishing import publish
from support.builds import built
from support.nodes import (
    OS_RELEASES,
    RELEASE,
    SCRIPT,
    SHELLS,
    Folder,
    Node,
    Web,
    sending,
    serving,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

LATEST = f"/latest/hello/debian/amd64/{RELEASE}.json"
FILES = ["greet.ko.xz", "hello-world.ko.xz"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Two versions of one module, of which the older was built last."""
    folder = Folder(tmp_path_factory.mktemp("bucket"))
    for version in ("2.0", "1.0+x"):
        publish(folder, replace(built(), module=replace(built().module, version=version)))
    publish(folder, built("6.1.0-50-amd64"))
    return folder


@pytest.fixture
def bucket(folder: Folder) -> Iterator[Web]:
    with serving(folder.path) as web:
        yield web


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "node")


@pytest.fixture
def entry(folder: Folder) -> dict[str, Any]:
    """The record, to be changed."""
    found: dict[str, Any] = json.loads(folder.get(LATEST[1:]) or b"")
    return found


def sums(node: Node) -> list[str]:
    return [hashlib.sha256((node.extra / name).read_bytes()).hexdigest() for name in node.installed]


@pytest.mark.parametrize("awk", ["mawk", "gawk", "busybox"])
@pytest.mark.parametrize("client", ["curl", "wget"])
@pytest.mark.parametrize("shell", SHELLS)
def test_a_module_is_fetched_checked_and_installed(
    bucket: Web, folder: Folder, tmp_path: Path, shell: str, client: str, awk: str
) -> None:
    node = Node(tmp_path / "node", shell=SHELLS[shell], client=client)
    node.awk(awk)
    said = node.get("hello", "--bucket", bucket.url)
    assert (said.status, node.installed) == (0, FILES), said.err
    record = IndexEntry.model_validate_json(folder.get(LATEST[1:]) or b"")
    assert sums(node) == [file.sha256 for file in record.files]
    assert {(node.extra / name).stat().st_mode & 0o777 for name in node.installed} == {0o644}
    dependencies = (node.extra.parent / "modules.dep").read_text()
    assert "extra/hello-world.ko.xz: extra/greet.ko.xz" in dependencies
    assert [asked.path for asked in bucket.asked] == [
        f"/{key.replace('+', '%2B')}" for key in (LATEST[1:], *(file.key for file in record.files))
    ]
    assert f"installed {node.extra}/greet.ko.xz (hello 1.0+x)" in said.err

    again = node.get("hello", "--bucket", bucket.url)
    assert (again.status, len(bucket.asked)) == (0, 4), "only the index was read once more"
    assert again.err.count("is there already") == 2


def test_one_version(node: Node, bucket: Web) -> None:
    assert node.get("hello", "--bucket", bucket.url, "--version", "2.0").status == 0
    assert bucket.asked[0].path == f"/index/hello/2.0/debian/amd64/{RELEASE.replace('+', '%2B')}.json"
    said = node.get("hello", "--bucket", bucket.url, "--version", "3.0")
    assert (said.status, "is not in the bucket" in said.err) == (3, True)


def test_for_another_kernel_than_the_one_that_runs(tmp_path: Path, bucket: Web) -> None:
    node = Node(tmp_path / "node", release="6.1.0-50-amd64")
    said = node.get("hello", "--bucket", bucket.url, "--kernel", RELEASE)
    assert said.status == 0
    assert sorted(path.name for path in node.root.rglob("*.ko*")) == FILES
    assert node.get("hello", "--bucket", bucket.url).status == 0
    assert node.installed == ["greet.ko", "hello-world.ko"]


def test_what_is_damaged_on_the_disk_is_fetched_again(node: Node, bucket: Web) -> None:
    node.get("hello", "--bucket", bucket.url)
    (node.extra / FILES[0]).write_bytes(b"something else")
    (node.extra / "greet.ko").write_bytes(b"of before")
    said = node.get("hello", "--bucket", bucket.url)
    assert (said.status, node.installed) == (0, FILES)
    assert f"removed {node.extra}/greet.ko" in said.err
    assert len(bucket.asked) == 5


def test_depmod_runs_if_it_was_not_run_the_last_time(node: Node, bucket: Web) -> None:
    node.get("hello", "--bucket", bucket.url, "--no-depmod")
    assert not (node.extra.parent / "modules.dep").exists()
    node.get("hello", "--bucket", bucket.url)
    assert "extra/greet.ko.xz" in (node.extra.parent / "modules.dep").read_text()


def test_without_modinfo_and_depmod_the_record_is_believed(tmp_path: Path, bucket: Web) -> None:
    node = Node(tmp_path / "node", tools=())
    said = node.get("hello", "--bucket", bucket.url)
    assert (said.status, node.installed) == (0, FILES)
    assert "there is no depmod here" in said.err


def test_a_modinfo_that_cannot_decompress(node: Node, bucket: Web) -> None:
    (node.bin / "kmod").mkdir()
    (node.bin / "modinfo").rename(node.bin / "kmod" / "modinfo")
    node.program("modinfo", f'case $3 in *.xz) exit 1;; esac\nexec {node.bin}/kmod/modinfo "$@"')
    assert node.get("hello", "--bucket", bucket.url).status == 0
    (node.bin / "xz").unlink()
    (node.extra / FILES[0]).unlink()
    said = node.get("hello", "--bucket", bucket.url)
    assert (said.status, "this modinfo cannot read it" in said.err) == (0, True)


def test_it_is_not_loaded_into_another_system(bucket: Web, node: Node) -> None:
    said = node.get("hello", "--bucket", bucket.url, "--load")
    assert (said.status, "only for the kernel that runs" in said.err) == (2, True)


def test_what_would_be_done_is_told_and_not_done(node: Node, bucket: Web) -> None:
    said = node.get("hello", "--bucket", bucket.url, "--dry-run")
    assert (said.status, node.files()) == (0, []), said.err
    assert f"install {node.extra}/greet.ko.xz" in said.err
    printed = node.get("hello", "--bucket", bucket.url, "--print-url", "--quiet")
    assert (printed.status, printed.err, node.files()) == (0, "", [])
    assert [line.rpartition("/")[2] for line in printed.out.splitlines()] == FILES
    assert all(line.startswith(f"{bucket.url}/modules/hello/1.0%2Bx/") for line in printed.out.splitlines())


# what the bucket may answer instead


def wrong(entry: dict[str, Any], **changes: object) -> bytes:
    return json.dumps({**entry, **changes}).encode()


def first(entry: dict[str, Any], **changes: object) -> bytes:
    return wrong(entry, files=[{**entry["files"][0], **changes}])


@pytest.mark.parametrize("client", ["curl", "wget"])
@pytest.mark.parametrize(
    ("name", "status", "told"),
    [
        ("html", 1, "no index object of kmodci's"),
        ("truncated", 1, "no index object of kmodci's"),
        ("empty", 1, "no index object of kmodci's"),
        ("another format", 1, "no index object of kmodci's"),
        ("said twice", 1, "of another module"),
        ("another release", 1, "of another release"),
        ("another distro", 1, "of another distro"),
        ("huge", 1, "it is larger than 262144 bytes"),
        ("huge and not announced", 1, "it is larger than"),
        ("name", 1, "names a file that cannot be one: ../../x.ko"),
        ("name with a newline", 1, "names a file that cannot be one"),
        ("no ko", 1, "names a file that cannot be one"),
        ("key", 1, "names no key"),
        ("key elsewhere", 1, "names no key"),
        ("sha256", 1, "says no SHA256"),
        ("size", 1, "says no size"),
        ("size of too much", 1, "says no size"),
        ("size in octal", 1, "no index object of kmodci's"),
        ("size in octal, as text", 1, "says no size"),
        ("vermagic", 4, "is for another kernel than"),
        ("vermagic that begins so", 4, "is for another kernel than"),
        ("no files", 1, "names no file"),
        ("twice", 1, "names a file twice"),
        ("version", 1, "the version that it says is none"),
        ("redirect", 1, "answers with a redirect (302)"),
        ("gone", 3, "is not in the bucket for debian"),
        ("forbidden", 3, "is not in the bucket for debian"),
        ("error", 5, "answers 500"),
        ("control characters", 1, "no index object of kmodci's"),
    ],
)
def test_what_an_index_object_may_not_be(
    bucket: Web, entry: dict[str, Any], tmp_path: Path, client: str, name: str, status: int, told: str
) -> None:
    text = json.dumps(entry)
    sent: dict[str, tuple[int, bytes]] = {
        "html": (200, b"<!doctype html><html>log in</html>"),
        "truncated": (200, text[:-20].encode()),
        "empty": (200, b""),
        "another format": (200, wrong(entry, format=2)),
        "said twice": (200, text.replace('"module": "hello"', '"module": "hello", "module": "hello"', 1).encode()),
        "another release": (200, wrong(entry, release="6.1.0-50-amd64")),
        "another distro": (200, wrong(entry, distro="ubuntu")),
        "huge": (200, wrong(entry, more="x" * 400_000)),
        "name": (200, first(entry, name="../../x.ko")),
        "name with a newline": (200, first(entry, name="x.ko\ny.ko")),
        "no ko": (200, first(entry, name="passwd")),
        "key": (200, first(entry, key="modules/../../etc/x.ko")),
        "key elsewhere": (200, first(entry, key="state/x.ko")),
        "sha256": (200, first(entry, sha256="x" * 64)),
        "size": (200, first(entry, size="12; id")),
        "size of too much": (200, first(entry, size=10**9 - 1)),
        "size in octal": (200, first(entry, size=777000111).replace(b"777000111", b"010")),
        "size in octal, as text": (200, first(entry, size="010")),
        "vermagic": (200, first(entry, vermagic="6.1.0-50-amd64 SMP ")),
        "vermagic that begins so": (200, first(entry, vermagic=f"{RELEASE}-rt SMP ")),
        "no files": (200, wrong(entry, files=[])),
        "twice": (200, wrong(entry, files=[entry["files"][0]] * 2)),
        "version": (200, wrong(entry, version="../1")),
        "gone": (404, b""),
        "forbidden": (403, b"<Error>AccessDenied</Error>"),
        "error": (500, b""),
        "control characters": (200, text.replace("hello", "hel\x1blo", 1).encode()),
    }
    if name == "redirect":
        bucket.answers[LATEST] = sending(302, b"", {"Location": "/elsewhere"})
    elif name == "huge and not announced":
        bucket.answers[LATEST] = _endless
    else:
        bucket.answers[LATEST] = sending(*sent[name])
    node = Node(tmp_path / "node", client=client)
    said = node.get("hello", "--bucket", bucket.url)
    assert (said.status, node.files()) == (status, []), said.err
    assert told in said.err
    assert "\x1b" not in said.err
    assert "/elsewhere" not in [asked.path for asked in bucket.asked]


def _endless(request: Any) -> None:
    request.send_response(200)
    request.send_header("Connection", "close")
    request.end_headers()
    request.close_connection = True
    try:
        for _ in range(10_000):
            request.wfile.write(b" " * 10_000)
    except OSError:
        pass  # it has left


@pytest.mark.parametrize("client", ["curl", "wget"])
@pytest.mark.parametrize(
    ("name", "status", "told"),
    [
        ("other bytes", 4, "its SHA256 is not"),
        ("shorter", 4, "bytes came"),
        ("longer", 4, "larger than|bytes came"),
        ("broken off", 5, "broke off|failed|no connection"),
        ("gone", 1, "answers 404, although the bucket names it"),
        ("error", 5, "answers 503"),
        ("hanging", 5, "in time|no connection"),
        ("nobody", 5, "no connection|failed"),
    ],
)
def test_what_a_file_may_not_be(
    bucket: Web, folder: Folder, entry: dict[str, Any], tmp_path: Path, client: str, name: str, status: int, told: str
) -> None:
    """It is the second of two files, and the first is not installed either."""
    file = entry["files"][1]
    content = folder.get(file["key"]) or b""
    node = Node(tmp_path / "node", client=client)

    def short(request: Any) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[:100])
        request.close_connection = True

    def nobody(request: Any) -> None:
        request.close_connection = True

    answers = {
        "other bytes": sending(200, content[:-1] + b"x"),
        "shorter": sending(200, content[:-1]),
        "longer": sending(200, content + b"x" * 300_000),
        "broken off": short,
        "gone": sending(404, b""),
        "error": sending(503, b""),
        "hanging": bucket.hang,
        "nobody": nobody,
    }
    if name == "hanging":
        # as the script has it, only sooner
        path = (node.bin / client).readlink()
        sooner = (
            'exec {path} "$@" --max-time 2'
            if client == "curl"
            else 'exec {path} --read-timeout=2 "$@" --read-timeout=2'
        )
        node.program(client, sooner.format(path=path))
    bucket.answers[f"/{file['key']}"] = answers[name]
    said = node.get("hello", "--bucket", bucket.url)
    assert (said.status, node.files()) == (status, []), said.err
    assert re.search(told, said.err), said.err


def test_a_module_that_is_not_what_the_record_says(
    bucket: Web, entry: dict[str, Any], folder: Folder, node: Node
) -> None:
    """The record says the right vermagic, and the SHA256 of a file with another: modinfo tells."""
    other = folder.get("modules/hello/1.0+x/debian/bookworm/amd64/6.1.0-50-amd64/greet.ko") or b""
    told = {"name": "greet.ko", "sha256": hashlib.sha256(other).hexdigest(), "size": len(other)}
    bucket.answers[LATEST] = sending(200, first(entry, **told))
    bucket.answers[f"/{entry['files'][0]['key']}"] = sending(200, other)
    said = node.get("hello", "--bucket", bucket.url)
    assert (said.status, node.files()) == (4, []), said.err
    assert "is for another kernel" in said.err and "6.1.0-50-amd64 SMP" in said.err
    junk = b"no module at all"
    bucket.answers[LATEST] = sending(
        200, first(entry, name="greet.ko", sha256=hashlib.sha256(junk).hexdigest(), size=len(junk))
    )
    bucket.answers[f"/{entry['files'][0]['key']}"] = sending(200, junk)
    said = node.get("hello", "--bucket", bucket.url)
    assert (said.status, node.files()) == (4, []), said.err


# the node


@pytest.mark.parametrize("name", sorted(path.name for path in OS_RELEASES.iterdir() if path.name != "ORIGIN"))
def test_each_distribution_is_looked_for_where_publish_puts_it(tmp_path: Path, bucket: Web, name: str) -> None:
    """The same place as `osrelease` and `index_place` say; and what is there is installed."""
    distro, series = place_of((OS_RELEASES / name).read_text())
    target = Target(distro=distro, series=series, arch="amd64")
    made = built()
    folder = Folder(tmp_path / "bucket")
    publish(folder, replace(made, kernel=replace(made.kernel, target=target)))
    bucket.folder = folder.path
    node = Node(tmp_path / "node", tools=())
    node.runs(name)
    said = node.get("hello", "--bucket", bucket.url)
    assert (said.status, node.installed) == (0, FILES), said.err
    assert bucket.asked[0].path == f"/latest/hello/{index_place(target)}/{RELEASE.replace('+', '%2B')}.json"


def test_whose_series_have_other_kernels_of_one_release_is_known(tmp_path: Path) -> None:
    [line] = [line for line in SCRIPT.read_text().splitlines() if "place=$distro/$series/$arch" in line]
    named = set(line.partition(")")[0].split("|"))
    assert {name.strip() for name in named} == {name for name, distro in DISTROS.items() if distro.by_series}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read"),
        ("", "says no ID that can be used"),
        ("ID=$(touch /tmp/x)\n", "says no ID that can be used"),
        ("ID=`id`\n", "says no ID that can be used"),
        ('ID="debian\n', "says no ID that can be used"),
        ("ID=../../etc\n", "says no ID|not a distribution"),
        ("ID=debian\n", "which series of debian"),
        ("ID=debian\nVERSION_ID=$(id)\n", "which series of debian"),
        ("ID=a-b\nVERSION_ID=1\n", "not a distribution"),
    ],
)
def test_an_os_release_that_says_nothing_of_use(node: Node, bucket: Web, text: str | None, told: str) -> None:
    path = node.root / "etc" / "os-release"
    path.unlink()
    if text is not None:
        path.write_text(text)
    said = node.get("hello", "--bucket", bucket.url)
    assert (said.status, bucket.asked, node.files()) == (2, [], [])
    assert re.search(told, said.err)
    named = node.get("hello", "--bucket", bucket.url, "--distro", "debian", "--series", "trixie")
    assert (named.status, node.installed) == (0, FILES)


@pytest.mark.parametrize("text", ["ID='debian'\nVERSION_ID='13'\n", 'X="$(touch x)"\nID="debian"\nVERSION_ID=13 \n'])
def test_an_os_release_is_read_and_not_run(node: Node, bucket: Web, text: str) -> None:
    (node.root / "etc" / "os-release").write_text(text)
    assert node.get("hello", "--bucket", bucket.url).status == 0
    assert not list(node.folder.rglob("x"))


@pytest.mark.parametrize(
    "release", ["", "../../x", "6.1;id", "$(id)", "6.1.0 1", "6.1\nx", "-x", "6" * 65, "6..1", "6.1/x", "6.1'"]
)
def test_a_kernel_release_that_is_none(tmp_path: Path, bucket: Web, release: str) -> None:
    node = Node(tmp_path / "node", release=release)
    said = node.get("hello", "--bucket", bucket.url)
    assert (said.status, bucket.asked, node.files()) == (2, [], [])
    assert "not a kernel release" in said.err


@settings(max_examples=40)
@given(st.text(st.characters(min_codepoint=1, codec="utf-8"), min_size=1, max_size=80))
def test_no_name_of_a_module_leads_anywhere(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    node = Node(tmp_path_factory.mktemp("any") / "node")
    with serving(node.folder) as web:
        said = node.get("--bucket", web.url, "--", name) if name == "--" else node.get("--bucket", web.url, name)
        assert said.status in ((0,) if name == "--help" or name == "-h" else (2, 3))
        assert all(re.fullmatch(r"/latest/[a-z0-9%.+_-]+/debian/amd64/[^/]+", asked.path) for asked in web.asked)
        assert node.files() == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "which module?"),
        (("hello", "other"), "one module at a time"),
        (("hello", "--bukket", "x"), "no option --bukket"),
        (("hello", "--bucket"), "--bucket wants a value"),
        (("hello", "--quiet=yes"), "takes no value"),
        (("hello",), "say where"),
        (("hello", "--bucket", "ftp://example.org"), "not a URL"),
        (("hello", "--bucket", "http://u:p@example.org"), "not a URL"),
        (("hello", "--bucket", "http://example.org/$(id)"), "not a URL"),
        (("hello", "--server", "http://example.org", "--wait", "-1"), "not a number"),
        (("hello", "--server", "http://example.org", "--wait", "010"), "not a number"),
        (("hello", "--bucket", "http://example.org", "--version", "a b"), "not a version"),
        (("hello", "--bucket", "http://example.org", "--root", "/nowhere"), "no directory"),
        (("hello", "--server", "https://example.org", "--token-file", "/nowhere"), "cannot be read"),
        (("hello", "--config", "/nowhere"), "cannot be read"),
    ],
)
def test_what_is_asked_wrongly(node: Node, arguments: tuple[str, ...], told: str) -> None:
    said = node.get(*arguments)
    assert (said.status, said.out) == (2, "")
    assert told in said.err


def test_help_tells_every_option_and_status(node: Node) -> None:
    said = node.get("--help")
    assert (said.status, said.err) == (0, "")
    options = set(re.findall(r"^      (--[a-z-]+)(?: \||\))", SCRIPT.read_text(), re.MULTILINE))
    assert len(options) > 14 and options <= set(re.findall(r"--[a-z-]+", said.out))
    statuses = {int(number) for number in re.findall(r"die ([0-9]) ", SCRIPT.read_text())} | {0}
    assert statuses == {int(number) for number in re.findall(r"(?:^|  )([0-9])  ", said.out, re.MULTILINE)}


def test_a_configuration_is_read_and_not_run(node: Node, bucket: Web, tmp_path: Path) -> None:
    config = tmp_path / "kmod-get.conf"
    config.write_text(
        f"# where\n\nKMOD_GET_BUCKET='{bucket.url}/'\nKMOD_GET_WAIT=\"5\"\nKMOD_GET_SERVER=$(touch {tmp_path}/x)\n"
    )
    said = node.get("hello", "--config", str(config))
    assert (said.status, "--server: not a URL: $(touch" in said.err, (tmp_path / "x").exists()) == (2, True, False)
    config.write_text(config.read_text().rpartition("KMOD_GET_SERVER")[0])
    assert node.get("hello", "--config", str(config)).status == 0
    node.env["KMOD_GET_BUCKET"] = "http://127.0.0.1:1"
    assert node.get("hello", "--config", str(config)).status == 5, "the environment is taken before it"
    for text, told in {
        "x\n": ":1: not NAME=VALUE",
        "A=b\n": ":1: A is none of",
        "KMOD_GET_ROOT=/\n": "is none of",
    }.items():
        config.write_text(text)
        said = node.get("hello", "--config", str(config))
        assert (said.status, told in said.err) == (2, True)


def test_neither_curl_nor_wget(tmp_path: Path, bucket: Web) -> None:
    said = Node(tmp_path / "node", client="").get("hello", "--bucket", bucket.url)
    assert (said.status, "neither curl nor wget" in said.err) == (1, True)


# what breaks


@pytest.mark.parametrize("client", ["curl", "wget"])
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("number", "whole_group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
@pytest.mark.parametrize("at", ["index", "file"])
def test_broken_off_while_it_fetches_nothing_is_left(
    bucket: Web, entry: dict[str, Any], tmp_path: Path, client: str, shell: str, number: int, whole_group: bool, at: str
) -> None:
    node = Node(tmp_path / "node", shell=SHELLS[shell], client=client)
    bucket.answers[LATEST if at == "index" else f"/{entry['files'][1]['key']}"] = bucket.hang
    process = node.start("hello", "--bucket", bucket.url)
    assert bucket.waiting.wait(30)
    if whole_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    assert process.wait(20) == -number
    assert node.files() == []
    # and nothing of it runs any more
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.parametrize("client", ["curl", "wget"])
def test_a_full_disk(bucket: Web, entry: dict[str, Any], tmp_path: Path, client: str) -> None:
    large = os.urandom(3 << 20)
    bucket.answers[LATEST] = sending(
        200, first(entry, name="greet.ko", sha256=hashlib.sha256(large).hexdigest(), size=len(large))
    )
    bucket.answers[f"/{entry['files'][0]['key']}"] = sending(200, large)
    node = Node(tmp_path / "node", client=client)
    small = node.root / "lib"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("a file system can be mounted by root only")
    try:
        said = node.get("hello", "--bucket", bucket.url)
        assert (said.status, [*small.rglob("*.ko"), *small.rglob(".*")]) == (1, []), said.err
        assert "is the disk full?" in said.err
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_folder_that_cannot_be_written_to(node: Node, bucket: Web) -> None:
    node.extra.parent.write_text("a file")
    said = node.get("hello", "--bucket", bucket.url)
    assert (said.status, "cannot be made" in said.err) == (1, True)


def test_two_at_once(tmp_path: Path, bucket: Web) -> None:
    node = Node(tmp_path / "node")
    both = [node.start("hello", "--bucket", bucket.url) for _ in range(4)]
    assert [process.wait(60) for process in both] == [0] * 4
    assert node.installed == FILES


@pytest.mark.parametrize("shell", SHELLS)
def test_it_is_shell_that_any_sh_takes(shell: str) -> None:
    subprocess.run([*SHELLS[shell], "-n", str(SCRIPT)], check=True)
    assert not re.search(r"(?m)(^|[;&|({]) *(eval|local|source|\.|\[\[) ", SCRIPT.read_text())
