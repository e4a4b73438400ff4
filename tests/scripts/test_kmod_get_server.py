"""scripts/kmod-get and a farm that builds what is not in the bucket: a stand-in on loopback (support.ondemand)."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kmodci.manifest import entry_of
from kmodci.publishing import publish
from support.builds import built
from support.nodes import RELEASE, SHELLS, Folder, Node, following, sending, serving
from support.ondemand import (
    BUILDS,
    TOKEN,
    StandIn,
    fetches_what_is_built,
    is_told_what_nobody_lists,
    refusing,
    token_file,
    waits_for_what_is_not,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

FILES = ["greet.ko.xz", "hello-world.ko.xz"]


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[StandIn]:
    """It has built the module, and `latest/` does not say so yet."""
    folder = Folder(tmp_path / "bucket")
    entry = entry_of(publish(folder, built()))
    folder.delete([entry.latest_key])
    with serving(folder.path) as web:
        yield StandIn(web, entry)


def hurried(node: Node) -> Path:
    """Its `sleep` notes for how long it should, and does not."""
    slept = node.folder / "slept"
    node.program("sleep", f'echo "$1" >>{slept}')
    return slept


@pytest.fixture(params=["curl", "wget"])
def node(tmp_path: Path, request: pytest.FixtureRequest) -> Node:
    return Node(tmp_path / "node", client=request.param)


def test_what_is_built_is_fetched(node: Node, farm: StandIn) -> None:
    fetches_what_is_built(node, farm.url, "hello")
    assert node.installed == FILES
    question = json.loads(farm.web.asked[0].body)
    assert question == {
        "module": "hello",
        "distro": "debian",
        "series": "13",
        "arch": "amd64",
        "kernel_release": RELEASE,
    }


@pytest.mark.parametrize("awk", ["mawk", "gawk", "busybox"])
@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_not_is_waited_for(tmp_path: Path, farm: StandIn, shell: str, awk: str) -> None:
    node = Node(tmp_path / "node", shell=SHELLS[shell])
    node.awk(awk)
    slept = hurried(node)
    farm.states = ["pending", "pending", "running", "running"]
    farm.is_compact = False
    waits_for_what_is_not(node, farm.url, "hello", "--version", "1.0+x")
    assert json.loads(farm.web.asked[0].body)["version"] == "1.0+x"
    assert [asked.method for asked in farm.web.asked[:5]] == ["POST", "GET", "GET", "GET", "GET"]
    assert slept.read_text().split() == ["2", "3", "5", "7"], "longer each time"


def test_what_nobody_lists_is_told(node: Node, farm: StandIn) -> None:
    is_told_what_nobody_lists(node, farm.url, "hello")


def test_the_bucket_is_asked_first(node: Node, farm: StandIn) -> None:
    folder = Folder(farm.web.folder or Path())
    said = node.get("hello", "--bucket", farm.url, "--server", farm.url)
    assert (said.status, "is not in the bucket" in said.err) == (0, True)
    assert [asked.method for asked in farm.web.asked[:2]] == ["GET", "POST"]
    publish(folder, built())
    farm.web.asked.clear()
    (node.extra / FILES[0]).unlink()
    assert node.get("hello", "--bucket", farm.url, "--server", farm.url).status == 0
    assert {asked.method for asked in farm.web.asked} == {"GET"}


@pytest.mark.parametrize("broken", ["nobody", "html", "error"])
def test_a_bucket_that_does_not_work_is_not_the_end(node: Node, farm: StandIn, broken: str) -> None:
    bucket = "http://127.0.0.1:1" if broken == "nobody" else farm.url
    path = f"/latest/hello/debian/amd64/{RELEASE}.json"
    farm.web.answers[path] = sending(200 if broken == "html" else 500, "<html>")
    said = node.get("hello", "--bucket", bucket, "--server", farm.url)
    assert (said.status, node.installed) == (0, FILES), said.err


def test_nobody_answers(node: Node) -> None:
    slept = hurried(node)
    said = node.get("hello", "--bucket", "http://127.0.0.1:1/b", "--server", "http://127.0.0.1:1")
    assert said.status == 5
    assert "http://127.0.0.1:1/b/latest/" in said.err and "no connection" in said.err
    assert slept.read_text().split() == ["2", "3"]


def test_a_farm_that_is_started_again_meanwhile(node: Node, farm: StandIn) -> None:
    hurried(node)
    farm.states = ["pending"]
    farm.web.answers[farm.status_url] = following([sending(502, "<html>"), sending(503, ""), farm.status])
    waits_for_what_is_not(node, farm.url, "hello")


def test_how_long_to_wait_may_be_said_by_the_farm(node: Node, farm: StandIn) -> None:
    slept = hurried(node)
    farm.states = ["pending", "running"]
    farm.headers = {"Retry-After": "17"}
    waits_for_what_is_not(node, farm.url, "hello")
    assert slept.read_text().split() == ["17", "17"]
    too_many = sending(429, {"error": {"message": "too many"}}, {"Retry-After": "5"})
    farm.web.answers[BUILDS] = following([too_many, farm.question])
    (node.extra / FILES[0]).unlink()
    fetches_what_is_built(node, farm.url, "hello")
    assert slept.read_text().split()[2:] == ["5"]


@pytest.mark.parametrize("seconds", [0, 1])
def test_it_gives_up(node: Node, farm: StandIn, seconds: int) -> None:
    farm.states = ["pending"] * 50
    said = node.get("hello", "--server", farm.url, "--wait", str(seconds))
    assert (said.status, node.files()) == (6, []), said.err
    assert f"gave up after {seconds} s: hello for {RELEASE} is pending (id hello,1.0+x)" in said.err


@pytest.mark.parametrize(
    ("http", "status", "told"),
    [
        (400, 1, "no JSON"),
        (401, 7, "wants a token"),
        (403, 7, "does not let this token"),
        (404, 3, "hello for debian"),
        (409, 3, "hello for debian"),
        (422, 2, "does not take this question"),
        (413, 1, "no JSON"),
        (429, 7, "no JSON"),
        (500, 5, "it answers 500"),
    ],
)
def test_what_a_farm_refuses_is_told_as_it_says_it(
    node: Node, farm: StandIn, http: int, status: int, told: str
) -> None:
    hurried(node)
    with refusing(farm.web, http, 'no JSON: "\x1b[2J…\\', "do\nthis"):
        said = node.get("hello", "--server", farm.url, "--wait", "0" if http == 429 else "600")
    assert (said.status, node.files()) == (status, []), said.err
    assert told in said.err and "\x1b" not in said.err
    # of a 401, wget shows no body
    if http != 500 and (http, node.client) != (401, "wget"):
        assert 'no JSON: "?[2J?\\\n  hint: do this\n' in said.err


@pytest.mark.parametrize("state", ["failed", "skipped", "unavailable"])
def test_what_became_of_a_build_is_told(node: Node, farm: StandIn, state: str) -> None:
    hurried(node)
    farm.states = ["pending"]
    farm.web.answers[farm.status_url] = sending(200, {"id": "1", "status": state, "reason": "x.c:1: error: y"})
    said = node.get("hello", "--server", farm.url)
    assert (said.status, f"is {state}: x.c:1: error: y" in said.err) == (3, True)


def test_a_token_is_sent_to_who_it_is_for_and_to_nobody_else(node: Node, farm: StandIn, tmp_path: Path) -> None:
    hurried(node)
    farm.token = TOKEN
    assert node.get("hello", "--server", farm.url).status == 7
    farm.states = ["running"]
    token = token_file(tmp_path)
    with serving() as other:
        # whose page says so could be anybody's
        other.default = sending(200, {"id": "1", "status": "failed", "reason": ""})
        ours = farm.status_url
        farm.status_url = f"{other.url}/x"
        said = node.get("hello", "--server", farm.url, "--token-file", token)
        assert said.status == 3
        assert [asked.headers.get("Authorization") for asked in other.asked] == [None]
        farm.status_url = ours
    farm.web.asked.clear()
    farm.states = ["running"]
    waits_for_what_is_not(node, farm.url, "hello", "--bucket", farm.url, "--token-file", token)
    # that bucket is the farm's, which may want the token for it too
    assert {asked.headers.get("Authorization") for asked in farm.web.asked} == {f"Bearer {TOKEN}"}
    assert {BUILDS, farm.status_url} < {asked.path for asked in farm.web.asked}
    farm.states = ["running"]
    with serving() as bucket:
        for url in (bucket.url, f"{bucket.url}/{farm.url}"):
            node.get("hello", "--server", farm.url, "--bucket", url, "--token-file", token)
        assert [asked.headers.get("Authorization") for asked in bucket.asked] == [None] * len(bucket.asked) != []


def test_a_bucket_of_the_farms_that_wants_a_token(node: Node, farm: StandIn, tmp_path: Path) -> None:
    with serving() as closed:
        closed.default = sending(401, "no")
        said = node.get("hello", "--bucket", f"{closed.url}/kmodci/files")
        assert said.status == 7 and "wants a token" in said.err


@pytest.mark.parametrize("client", ["curl", "wget"])
def test_no_token_is_in_a_command_line(tmp_path: Path, farm: StandIn, client: str) -> None:
    node = Node(tmp_path / "node", client=client)
    real, said = (node.bin / client).readlink(), tmp_path / "said"
    node.program(client, f'echo "$@" >>{said}\nexec {real} "$@"')
    fetches_what_is_built(node, farm.url, "hello", "--token-file", token_file(tmp_path))
    assert TOKEN not in said.read_text() and "--config" in said.read_text()


@pytest.mark.parametrize("text", ["", "\n", 'a"\nheader = "x', "a b", "$(id)"])
def test_a_token_that_is_none(node: Node, farm: StandIn, tmp_path: Path, text: str) -> None:
    said = node.get("hello", "--server", farm.url, "--token-file", token_file(tmp_path, text))
    assert (said.status, farm.web.asked) == (2, []) if text != 'a"\nheader = "x' else said.status == 2
    assert "id" not in said.err.replace(str(tmp_path), "")


@pytest.mark.parametrize(
    "answer",
    [
        "<html>",
        {"id": "1", "status": "pending"},
        {"id": "1", "status": "pending", "status_url": "file:///etc/passwd"},
        {"id": "1", "status": "pending", "status_url": "/x y"},
        {"id": "1", "status": "what"},
        {"id": "1", "status": "built", "files": []},
        {"id": "1", "status": "built", "files": [{"name": "x.ko", "url": "file:///x.ko"}]},
        [[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]],
        {"x": "y" * 300_000},
    ],
)
def test_what_is_no_answer_of_a_farm(node: Node, farm: StandIn, answer: object) -> None:
    hurried(node)
    farm.web.answers[BUILDS] = sending(200, answer)
    said = node.get("hello", "--server", farm.url)
    assert (said.status, node.files()) == (1, []), said.err


@pytest.mark.parametrize(
    "change", [{"url": "http://127.0.0.1:1/x$(id)"}, {"url": ""}, {"sha256": ""}, {"name": "../x.ko"}]
)
def test_a_file_that_a_farm_may_not_name(node: Node, farm: StandIn, change: dict[str, str]) -> None:
    file = {**farm.record.files[0].model_dump(), "url": f"{farm.url}/x", **change}
    farm.web.answers[BUILDS] = sending(200, {"id": "1", "status": "built", "files": [file]})
    said = node.get("hello", "--server", farm.url)
    assert (said.status, node.files()) == (1, []), said.err


def test_a_dry_run_has_nothing_built(node: Node, farm: StandIn) -> None:
    said = node.get("hello", "--bucket", farm.url, "--server", farm.url, "--dry-run")
    assert (said.status, {asked.method for asked in farm.web.asked}) == (3, {"GET"})
    assert f"would ask {farm.url}" in said.err


def test_it_can_be_stopped_while_it_waits(tmp_path: Path, farm: StandIn) -> None:
    node = Node(tmp_path / "node")
    node.program("sleep", f": >{tmp_path}/asleep; exec {(node.bin / 'sleep').readlink()} 600")
    farm.states = ["pending"] * 9
    process = node.start("hello", "--server", farm.url)
    while not (tmp_path / "asleep").exists():
        assert process.poll() is None
    process.terminate()
    assert process.wait(20) == -15
    assert node.files() == []


def test_two_servers_below_one_name(node: Node) -> None:
    """A farm below a path, behind a proxy: what it names by a path is of the whole server."""
    with serving() as web:
        web.answers[f"/ci{BUILDS}"] = sending(202, {"id": "1", "status": "pending", "status_url": "/ci/status"})
        web.answers["/ci/status"] = sending(200, {"id": "1", "status": "skipped", "reason": "no"})
        hurried(node)
        assert node.get("hello", "--server", f"{web.url}/ci/").status == 3


def test_json_of_all_kinds_is_read_alike(tmp_path: Path, farm: StandIn) -> None:
    """By each awk, and as Python reads it."""
    text = json.dumps({"status": "skipped", "reason": 'a "b" \\ / \t é \u2028 {[,:]} null', "x": [{}, [], 1e5, None]})
    farm.web.answers[BUILDS] = sending(200, text)
    told = set()
    for awk in ("mawk", "gawk", "busybox"):
        node = Node(tmp_path / awk)
        node.awk(awk)
        told.add(node.get("hello", "--server", farm.url).err)
    assert told == {f'kmod-get: hello for debian {RELEASE} (amd64) is skipped: a "b" \\ /   ? ? {{[,:]}} null\n'}
