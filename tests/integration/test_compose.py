"""docker-compose.yml, whole: started for real, a module built, stopped, upgraded, lost and restored."""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from kmodci.users import FIRST
from support.farm import until
from support.stack import Stack

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(900)]

SCOPE = {"modules": ["v4l2loopback"], "kernels": ["debian-trixie-amd64/6.*+deb13-amd64"], "newest": 1}
FILES = "/kmodci/files"
IMAGE_CAPABILITIES = {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "SYS_CHROOT"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), SCOPE) as stack:
        stack.up()
        yield stack


@pytest.fixture(scope="module")
def token(stack: Stack) -> dict[str, str]:
    """What a node shows."""
    made = stack.kmodci("token", "add", "node").strip()
    return {"Authorization": f"Bearer {made}"}


def first_password(stack: Stack) -> str:
    return stack.compose("exec", "-T", "master", "cat", "/var/lib/kmodci/password").decode().strip()


def built(stack: Stack) -> dict[str, str]:
    """When each build ended, by build id."""
    rows = stack.sql("SELECT build_id, finished FROM kmodci_outcomes WHERE status = 'built' ORDER BY build_id")
    return dict(row.split("|") for row in rows.split())


def fetch(stack: Stack, token: dict[str, str], build_id: str) -> str:
    """The key of a build's module, of which size, SHA256 and vermagic are what they should be."""
    module, target, release = build_id.split("/")
    distro, _, arch = target.split("-")
    answer = stack.get(f"{FILES}/latest/{module}/{distro}/{arch}/{quote(release)}.json", headers=token)
    assert answer.status == 200, answer.read()
    [file] = json.loads(answer.read())["files"]
    content = stack.get(f"{FILES}/{quote(file['key'])}", headers=token).read()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (file["sha256"], file["size"])
    place = stack.config.with_name(file["name"])
    place.write_bytes(content)
    said = subprocess.run(["modinfo", "-F", "vermagic", place], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"{release} "), said
    return str(file["key"])


def test_a_module_is_built_and_fetched_through_the_proxy(stack: Stack, token: dict[str, str]) -> None:
    [(build_id, _)] = until(lambda: built(stack).items(), seconds=300, told=stack.told)
    assert re.fullmatch(r"v4l2loopback/debian-trixie-amd64/6\.\S+", build_id)
    assert fetch(stack, token, build_id).startswith(f"modules/{build_id.split('/')[0]}/")


def test_who_may_do_what_at_the_proxy(stack: Stack, token: dict[str, str]) -> None:
    [build_id] = built(stack)
    module, _, release = build_id.split("/")
    file = f"{FILES}/latest/{module}/debian/amd64/{quote(release)}.json"
    assert stack.get(file).status == 401, "reading takes a login"
    for method in ("PUT", "DELETE", "POST"):
        assert stack.get(file, method=method, headers=token).status == 405
    assert stack.get(f"{FILES}/state/kernels.json", headers=token).status == 404, "the farm's own is not published"
    login = stack.log_in(FIRST, first_password(stack))
    assert login.status == 200
    [cookie] = [value for name, value in login.headers.items() if name == "Set-Cookie"]
    assert "auth/login" in stack.get("/kmodci/coverage").headers["Location"], "a browser is sent to log in"
    page = stack.get("/kmodci/coverage", headers={"Cookie": cookie.partition(";")[0]})
    assert page.status == 200 and b"v4l2loopback" in page.read()
    assert {"Secure", "HttpOnly"} <= {word.strip() for word in cookie.split(";")}
    assert stack.log_in(FIRST, "wrong").status in (401, 403)
    plain = stack.get_plainly("/")
    assert (plain.status, plain.headers["Location"]) == (308, "https://localhost/")


def test_what_each_container_may_do(stack: Stack) -> None:
    containers = stack.containers()
    assert containers.keys() == {"proxy", "master", "database", "s3", "engine", "images"}
    secrets = [first_password(stack), *stack.secrets()]
    for name, each in containers.items():
        may = each["HostConfig"]
        assert not may["Privileged"] and may["ReadonlyRootfs"], name
        assert may["CapDrop"] == ["ALL"], name
        assert may["SecurityOpt"] == ["no-new-privileges:true"], name
        assert may["Memory"] and may["PidsLimit"], name
        assert may["LogConfig"]["Config"]["max-size"], name
        assert may["RestartPolicy"]["Name"] == "unless-stopped", name
        assert not any(secret in json.dumps(each) for secret in secrets), f"{name}: what it is started with"
    capabilities = {name: set(each["HostConfig"]["CapAdd"] or ()) for name, each in containers.items()}
    assert {name: some for name, some in capabilities.items() if some} == {
        "proxy": {"NET_BIND_SERVICE"},
        "images": IMAGE_CAPABILITIES,
    }
    roots = {name for name, each in containers.items() if each["Config"]["User"] in ("", "root", "0", "0:0")}
    assert roots == {"proxy", "engine", "images"}
    has_engine = {name for name, each in containers.items() if "docker.sock" in json.dumps(each["HostConfig"]["Binds"])}
    assert has_engine == {"engine"}
    published = {name for name, each in containers.items() if any(each["HostConfig"]["PortBindings"].values())}
    assert published == {"proxy"}
    assert containers["engine"]["HostConfig"]["NetworkMode"] == "none"


def test_the_master_may_do_no_more_at_the_engine_than_builds_need(stack: Stack) -> None:
    asked = "import docker; docker.APIClient(base_url='unix:///run/kmodci-engine/docker.sock').create_container("
    asked += "'alpine', ['id'], host_config={'Binds': ['/:/host'], 'Privileged': True})"
    done = stack.compose("exec", "-T", "master", "python", "-c", f"try:\n {asked}\nexcept Exception as e: print(e)")
    assert b"403" in done, done


def test_it_is_upgraded_lost_and_restored(stack: Stack, token: dict[str, str], tmp_path: Path) -> None:
    was, password, authority = built(stack), first_password(stack), stack.authority
    # as an earlier version left it: Buildbot 4.2's tables, and ours without a column
    stack.compose("stop", "master")
    stack.sql(
        "DROP TABLE codebase_branches, codebase_commits, codebases",
        "UPDATE alembic_version SET version_num = '066'",
        "UPDATE kmodci_meta SET value = '4.2.0' WHERE key = 'buildbot-tables'",
        "ALTER TABLE kmodci_repositories DROP COLUMN mirror_faults",
    )
    stack.compose("down", "--timeout", "20")
    # of what is made here there is nothing to pull, and that is no fault
    stack.compose("pull")
    stack.up()
    assert stack.sql("SELECT version_num FROM alembic_version").split() == ["067"]
    assert built(stack) == was, "what is built is not built again"
    assert stack.authority == authority, "browsers need not trust another one"
    assert stack.log_in(FIRST, password).status == 200
    key = fetch(stack, token, *was)

    backup = stack.compose("exec", "-T", "master", "kmodci", "backup", "-")
    bucket = stack.compose("exec", "-T", "s3", "tar", "--directory", "/var/lib/kmodci-bucket", "--create", ".")
    stack.compose("down", "--volumes", "--timeout", "20")
    stack.compose("run", "--rm", "-T", "s3", "tar", "--directory", "/var/lib/kmodci-bucket", "--extract", given=bucket)
    stack.compose("run", "--rm", "-T", "master", "kmodci", "restore", "-", given=backup)
    stack.up()
    assert built(stack) == was
    assert stack.log_in(FIRST, password).status == 200
    assert fetch(stack, token, *was) == key
    again = stack.compose("exec", "-T", "master", "sh", "-c", "kmodci restore --replace - 2>&1 || true", given=backup)
    assert b"a farm is running" in again and built(stack) == was, "it is left alone"
