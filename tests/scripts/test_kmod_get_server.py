"""scripts/kmod-get and a farm that builds what is not in the bucket: a stand-in on loopback (support.ondemand)."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kmodci.apiserver import Server
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
    farm.web.answers[farm.status_path] = following([sending(502, "<html>"), sending(503, ""), farm.status])
    waits_for_what_is_not(node, farm.url, "hello")


@pytest.mark.parametrize("status", [502, 503])
def test_a_farm_that_is_starting_is_waited_for(node: Node, farm: StandIn, status: int) -> None:
    """It says when it will answer; and what is before it may be away for a moment meanwhile."""
    slept = hurried(node)
    starting = sending(status, {"error": {"message": "its sources are read"}}, {"Retry-After": "20"})
    away = sending(status, "<html>")
    farm.web.answers[BUILDS] = following([*[starting] * 9, away, away, starting, away, away, farm.question])
    said = node.get("hello", "--server", farm.url)
    assert (said.status, node.installed) == (0, FILES), said.err
    assert said.err.count("its sources are read") == 1
    assert slept.read_text().split()[:3] == ["20"] * 3


def test_a_farm_that_is_not_ready_in_time(node: Node, farm: StandIn) -> None:
    hurried(node)
    with refusing(farm.web, 503, "its sources are read", **{"Retry-After": "20"}):
        said = node.get("hello", "--server", farm.url, "--wait", "19")
    assert (said.status, node.files()) == (6, []), said.err
    assert f"gave up after 19 s: {farm.url} is not ready (503): its sources are read" in said.err


def test_a_farm_that_is_started_anew_after_it_was_waited_for(node: Node, farm: StandIn) -> None:
    """Without a word of when it will be back it is not there, however long it was waited for before."""
    slept = hurried(node)
    starting = sending(503, "", {"Retry-After": "20"})
    farm.web.answers[BUILDS] = following([starting, sending(503, "")])
    said = node.get("hello", "--server", farm.url)
    assert (said.status, "it answers 503" in said.err) == (5, True), said.err
    assert len(slept.read_text().split()) == 3


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
    # what is no number is passed over
    farm.web.answers[BUILDS] = following([sending(429, "", {"Retry-After": "010"}), farm.question])
    (node.extra / FILES[0]).unlink()
    fetches_what_is_built(node, farm.url, "hello")
    assert slept.read_text().split()[3:] == ["2"]


def test_a_source_that_moves_on_meanwhile(node: Node, farm: StandIn) -> None:
    """The farm knows nothing any more of the build of the version before: there will be one of another."""
    hurried(node)
    farm.states = ["pending", "pending", "running"]
    moved_on = sending(404, {"error": {"message": "hello is not published in version 0.9"}})
    farm.web.answers[farm.status_path] = following([farm.status, moved_on, farm.status])
    waits_for_what_is_not(node, farm.url, "hello")
    assert [asked.method for asked in farm.web.asked[:5]] == ["POST", "GET", "GET", "POST", "GET"]


def test_a_farm_that_forgets_whatever_it_was_asked(node: Node, farm: StandIn) -> None:
    hurried(node)
    farm.states = ["pending"] * 50
    farm.web.answers[farm.status_path] = sending(404, {"error": {"message": "never heard of it"}})
    said = node.get("hello", "--server", farm.url)
    assert (said.status, node.files()) == (3, []), said.err
    assert said.err.splitlines()[-1].endswith(": never heard of it")
    assert [asked.method for asked in farm.web.asked].count("POST") == 4


@pytest.mark.parametrize("seconds", [0, 1])
def test_it_gives_up(node: Node, farm: StandIn, seconds: int) -> None:
    farm.states = ["pending"] * 50
    said = node.get("hello", "--server", farm.url, "--wait", str(seconds))
    assert (said.status, node.files()) == (6, []), said.err
    assert f"gave up after {seconds} s: hello for {RELEASE} is pending (id {farm.id})" in said.err


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
        # worth another try, which the example's unit makes of 5 and 6
        (429, 6, "gave up after 0 s"),
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
    farm.web.answers[farm.status_path] = sending(200, farm.told(status=state, reason="x.c:1: error: y"))
    said = node.get("hello", "--server", farm.url)
    assert (said.status, f"is {state}: x.c:1: error: y" in said.err) == (3, True)


def test_a_token_is_sent_to_who_it_is_for_and_to_nobody_else(node: Node, farm: StandIn, tmp_path: Path) -> None:
    hurried(node)
    farm.token = TOKEN
    assert node.get("hello", "--server", farm.url).status == 7
    farm.web.asked.clear()
    farm.states = ["running"]
    token = token_file(tmp_path)
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


@pytest.mark.parametrize("path", ["/x", f"{BUILDS}/hello"])
def test_nobody_is_asked_but_who_was_asked_first(node: Node, farm: StandIn, tmp_path: Path, path: str) -> None:
    """Wherever a farm says that it is, be it by mistake: it goes on at the address that it was asked at."""
    hurried(node)
    farm.token = TOKEN
    farm.states = ["pending", "running"]
    with serving() as other:
        other.default = sending(200, farm.told(status="built", files=[]))
        farm.status_url = f"{other.url}{path}"
        waits_for_what_is_not(node, farm.url, "hello", "--token-file", token_file(tmp_path))
        assert other.asked == []
    assert [asked.path for asked in farm.web.asked[1:3]] == [f"{BUILDS}/{farm.id.replace('+', '%2B')}"] * 2


def test_a_farm_that_says_its_whole_address(node: Node, farm: StandIn) -> None:
    hurried(node)
    farm.states = ["pending"]
    path, farm.status_url = farm.status_url, f"{farm.url}{farm.status_url}?again=1"
    farm.web.answers[f"{farm.status_path}?again=1"] = farm.status
    waits_for_what_is_not(node, farm.url, "hello")
    assert farm.web.asked[1].path == f"{path}?again=1"


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("module", "other"),
        ("distro", "ubuntu"),
        ("arch", "arm64"),
        ("kernel_release", "6.1.0-50-amd64"),
        ("version", "2.0"),
        ("version", ""),
    ],
)
@pytest.mark.parametrize("status", ["built", "pending"])
def test_an_answer_to_another_question(node: Node, farm: StandIn, field: str, other: str, status: str) -> None:
    files = [{**file.model_dump(), "url": f"{farm.url}/{file.key}"} for file in farm.record.files]
    answer = farm.told(status=status, files=files)
    farm.web.answers[BUILDS] = sending(200, {**answer, field: other})
    said = node.get("hello", "--server", farm.url, "--version", "1.0+x")
    assert (said.status, node.files()) == (1, []), said.err
    assert f"of another {field} than it should be" in said.err


@pytest.mark.parametrize(
    ("asked", "answered", "status"),
    [("noble", "noble", 0), ("noble", "jammy", 1), ("24.04", "noble", 0)],
)
def test_series_that_have_other_kernels_of_one_release(
    node: Node, farm: StandIn, asked: str, answered: str, status: int
) -> None:
    farm.record = farm.record.model_copy(update={"distro": "ubuntu", "series": answered})
    said = node.get("hello", "--server", farm.url, "--distro", "ubuntu", "--series", asked, "--arch", "x86_64")
    assert (said.status, "of another series" in said.err) == (status, status == 1), said.err


@pytest.mark.parametrize("version", ["", "../1", "\x1b[2J", None])
def test_a_version_that_is_none(node: Node, farm: StandIn, version: str | None) -> None:
    farm.web.answers[BUILDS] = sending(200, {**farm.told(status="built"), "version": version})
    said = node.get("hello", "--server", farm.url)
    assert (said.status, node.files()) == (1, []), said.err
    assert "the version that it says is none" in said.err


@pytest.mark.parametrize("client", ["curl", "wget"])
def test_no_token_is_in_a_command_line(tmp_path: Path, farm: StandIn, client: str) -> None:
    node = Node(tmp_path / "node", client=client)
    real, said = (node.bin / client).readlink(), tmp_path / "said"
    node.program(client, f'echo "$@" >>{said}\nexec {real} "$@"')
    fetches_what_is_built(node, farm.url, "hello", "--token-file", token_file(tmp_path))
    assert TOKEN not in said.read_text() and "--config" in said.read_text()


@pytest.mark.parametrize(
    ("server", "is_sent"),
    [
        ("https://farm.example.com", True),
        ("http://127.0.0.1:8010/ci", True),
        ("http://127.8.25.255", True),
        ("http://localhost", True),
        ("http://[::1]:8010/", True),
        ("http://farm.example.com", False),
        ("http://farm.example.com/http://localhost", False),
        ("http://localhost.example.com", False),
        ("http://127.example.com", False),
        ("http://127.0.0.1.example.com:8010", False),
        ("http://127.0.0.256", False),
        ("http://[::2]", False),
        ("http://192.168.0.1:8010", False),
    ],
)
def test_a_token_is_sent_over_https_and_to_this_machine(node: Node, tmp_path: Path, server: str, is_sent: bool) -> None:
    """And to others where somebody says so. Nobody is asked here: the client is none."""
    hurried(node)
    node.program(node.client, f'echo asked >>"{tmp_path}/asked"; exit 7')
    arguments = ("hello", "--server", server, "--token-file", token_file(tmp_path))
    said = node.get(*arguments)
    assert (said.status, (tmp_path / "asked").exists()) == ((5, True) if is_sent else (2, False)), said.err
    assert ("a token is not sent to" in said.err and "--insecure" in said.err) == (not is_sent)
    assert Server.parse(server).keeps_secrets == is_sent, "as kmodci's commands have it"
    assert node.get(*arguments, "--insecure").status == 5
    assert node.get(*arguments[:3]).status == 5, "without a token there is none to be read"


def test_a_token_over_http_may_be_configured(node: Node, tmp_path: Path) -> None:
    hurried(node)
    node.program(node.client, "exit 7")
    config = tmp_path / "kmod-get.conf"
    for said, status in (("yes", 5), ("no", 2), ("", 2), ("1", 2)):
        lines = {"SERVER": "http://farm.example.com", "TOKEN_FILE": token_file(tmp_path), "INSECURE": said}
        config.write_text("".join(f"KMOD_GET_{name}={value}\n" for name, value in lines.items()))
        assert node.get("hello", "--config", str(config)).status == status


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o622])
def test_a_token_that_others_may_read(node: Node, farm: StandIn, tmp_path: Path, mode: int) -> None:
    path = token_file(tmp_path, mode=mode)
    (tmp_path / "link").symlink_to(path)
    for named in (path, str(tmp_path / "link")):
        said = node.get("hello", "--server", farm.url, "--token-file", named)
        assert (said.status, farm.web.asked) == (2, [])
        assert f"others may read {named}: chmod 600" in said.err and TOKEN not in said.err
    Path(path).chmod(0o400)
    fetches_what_is_built(node, farm.url, "hello", "--token-file", str(tmp_path / "link"))


@pytest.mark.parametrize("spared", [{}, {"NO_PROXY": "example.com"}, {"no_proxy": "example.com"}, {"no_proxy": "*"}])
def test_no_proxy_is_shown_a_token(node: Node, farm: StandIn, tmp_path: Path, spared: dict[str, str]) -> None:
    """That is for this machine."""
    farm.token = TOKEN
    with serving() as proxy:
        node.env |= {"http_proxy": proxy.url, **spared}
        fetches_what_is_built(node, farm.url, "hello", "--token-file", token_file(tmp_path))
        assert proxy.asked == []


@pytest.mark.parametrize("text", ["", "\n", 'a"\nheader = "x', "a b", "$(id)"])
def test_a_token_that_is_none(node: Node, farm: StandIn, tmp_path: Path, text: str) -> None:
    said = node.get("hello", "--server", farm.url, "--token-file", token_file(tmp_path, text))
    assert (said.status, farm.web.asked) == (2, []) if text != 'a"\nheader = "x' else said.status == 2
    assert "id" not in said.err.replace(str(tmp_path), "")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("<html>", "no answer of a farm's"),
        ({"status": "pending", "status_url": None}, "no status_url"),
        ({"status": "pending", "status_url": ""}, "no status_url"),
        ({"status": "pending", "status_url": "file:///etc/passwd"}, "no status_url"),
        ({"status": "pending", "status_url": "/x y"}, "no status_url"),
        ({"status": "pending", "status_url": "/x", "id": "a/../../b"}, "no id"),
        ({"status": "pending", "status_url": "/x", "id": "\x1b[2J"}, "no id"),
        ({"status": "pending", "status_url": "/x", "id": ""}, "no id"),
        ({"status": "what"}, "no answer of a farm's"),
        ({"status": "built", "files": []}, "names no file"),
        ({"status": "built", "files": [{"name": "x.ko", "url": "file:///x.ko"}]}, "says no SHA256"),
        ([[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]], "no answer of a farm's"),
        ({"x": "y" * 300_000}, "larger than"),
    ],
)
def test_what_is_no_answer_of_a_farm(node: Node, farm: StandIn, answer: object, told: str) -> None:
    hurried(node)
    farm.web.answers[BUILDS] = sending(200, farm.told(**answer) if isinstance(answer, dict) else answer)
    said = node.get("hello", "--server", farm.url)
    assert (said.status, node.files()) == (1, []), said.err
    assert told in said.err and "\x1b" not in said.err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"url": "http://127.0.0.1:1/x$(id)"}, "no URL"),
        ({"url": ""}, "no URL"),
        ({"sha256": ""}, "no SHA256"),
        ({"name": "../x.ko"}, "cannot be one"),
    ],
)
def test_a_file_that_a_farm_may_not_name(node: Node, farm: StandIn, change: dict[str, str], told: str) -> None:
    file = {**farm.record.files[0].model_dump(), "url": f"{farm.url}/x", **change}
    farm.web.answers[BUILDS] = sending(200, farm.told(status="built", files=[file]))
    said = node.get("hello", "--server", farm.url)
    assert (said.status, told in said.err, node.files()) == (1, True, []), said.err


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


@pytest.mark.parametrize("elsewhere", ["", "http://127.0.0.1:1"])
def test_two_servers_below_one_name(node: Node, farm: StandIn, elsewhere: str) -> None:
    """A farm below a path, behind a proxy: what it names by a path is of the whole server."""
    with serving() as web:
        pending = farm.told(status="pending", status_url=f"{elsewhere}/ci/status")
        web.answers[f"/ci{BUILDS}"] = sending(202, pending)
        next_path = f"/ci{BUILDS}/{farm.id}" if elsewhere else "/ci/status"
        web.answers[next_path] = sending(200, farm.told(status="skipped", reason="no"))
        hurried(node)
        assert node.get("hello", "--server", f"{web.url}/ci/").status == 3


def test_json_of_all_kinds_is_read_alike(tmp_path: Path, farm: StandIn) -> None:
    """By each awk, and as Python reads it."""
    reason = 'a "b" \\ / \t é \u2028 {[,:]} null'
    text = json.dumps(farm.told(status="skipped", reason=reason, x=[{}, [], 1e5, -0.5, 0, None]))
    farm.web.answers[BUILDS] = sending(200, text)
    told = set()
    for awk in ("mawk", "gawk", "busybox"):
        node = Node(tmp_path / awk)
        node.awk(awk)
        told.add(node.get("hello", "--server", farm.url).err)
    assert told == {f'kmod-get: hello for debian {RELEASE} (amd64) is skipped: a "b" \\ /   ? ? {{[,:]}} null\n'}
