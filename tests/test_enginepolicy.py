"""What the engine's proxy lets a farm ask for: exactly what a farm asks for, and no attack in whatever writing."""

import copy
import json
from typing import Any
from urllib.parse import urlencode

import docker
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmodci.engineclient import SandboxClient
from kmodci.enginepolicy import ROUTES, Passed, Policy
from kmodci.errors import Denied
from kmodci.images import for_preparing, recipe
from kmodci.sandbox import LABEL, NO_LOG, NOTHING, Limits, host_config, sent_config

GIB = 1 << 30
FARM = "0123456789abcdef"
POLICY = Policy(farm=FARM, memory=8 * GIB, processes=4096)
ANY_FARM = Policy(memory=8 * GIB, processes=4096)
LIMITS = Limits(memory=2 * GIB, disk=GIB, processes=512, seconds=60, output=1 << 20)
BUNDLE = f"kmodci-{FARM}-worker-0123456789abcdef"
IMAGE = "kmodci/toolchain-gcc-12:cabae92961871268"
ID = "c0ffee" * 10 + "beef"
CREATE = "/v1.41/containers/create"


class Recorder(SandboxClient):
    """The Docker SDK, with what it would have sent."""

    def __init__(self) -> None:
        super().__init__(base_url="unix:///nowhere", version="1.41")
        self.farm = FARM
        self.sent: list[tuple[str, str, bytes]] = []

    def send(self, request: Any, **_: Any) -> Any:
        self.sent.append((request.method, request.path_url, request.body or b""))
        answer = docker.api.client.requests.Response()
        answer.status_code, answer._content = 200, b'{"Id": "c1"}'
        return answer


def sandbox() -> dict[str, Any]:
    """What the SDK sends for a worker's container."""
    client = Recorder()
    client.opens_stdin = True
    config = client.create_host_config(binds=[], **host_config(LIMITS), **sent_config(BUNDLE))
    client.create_container(
        IMAGE, ["ld.so", "worker.py"], name="buildbot-local-1-58a2c7", volumes=[],
        environment={"WORKERNAME": "local-1"}, host_config=config, hostname=None,
    )  # fmt: skip
    [(_, _, body)] = client.sent
    made: dict[str, Any] = json.loads(body)
    return made


def judge(method: str, target: str, body: object = b"", policy: Policy = POLICY) -> Passed:
    return policy.judge(policy.find(method, target), body if isinstance(body, bytes) else json.dumps(body).encode())


def created(body: object, policy: Policy = POLICY) -> Passed:
    return judge("POST", CREATE, body, policy)


def with_field(path: str, value: object) -> dict[str, Any]:
    """A sandbox's, with another value at `HostConfig.Init`."""
    body = copy.deepcopy(sandbox())
    *folders, name = path.split(".")
    place = body
    for folder in folders:
        place = place[folder]
    place[name] = value
    return body


def test_a_sandbox_is_passed_on_made_anew() -> None:
    passed = created(sandbox())
    said = json.loads(passed.body)
    assert said.keys() == {
        "Image", "User", "Cmd", "Env", "Labels", "OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout",
        "AttachStderr", "HostConfig",
    }  # fmt: skip
    before, after = sandbox()["HostConfig"], said["HostConfig"]
    for name in ("NetworkMode", "ReadonlyRootfs", "CapDrop", "SecurityOpt", "Memory", "PidsLimit", "Tmpfs"):
        assert after[name] == before[name]
    assert said["User"] == "65534:65534"
    assert passed.volumes == (BUNDLE,), "which has to be this farm's, says the engine"
    assert passed.target() == CREATE


def test_what_fills_a_bundle_is_as_harmless() -> None:
    client = Recorder()
    mount = {"Type": "volume", "Source": BUNDLE, "Target": "/kmodci", "VolumeOptions": {"NoCopy": True}}
    little = {"mem_limit": 64 << 20, "memswap_limit": 64 << 20, "pids_limit": 16}
    config = client.create_host_config(**NOTHING, **NO_LOG, **little, mounts=[mount])
    client.create_container(IMAGE, ["/nothing"], host_config=config)
    [(method, target, body)] = client.sent
    assert judge(method, target, bytes(body, "utf-8") if isinstance(body, str) else body).volumes == (BUNDLE,)


# each is an attack, or something that a newer engine may take for one
HOST_CONFIG = {
    "a privileged container": ("Privileged", True),
    "the host's root": ("Binds", ["/:/host"]),
    "the host's root, only to be read": ("Binds", ["/:/host:ro"]),
    "the engine's socket": ("Binds", ["/var/run/docker.sock:/s"]),
    "the host's network": ("NetworkMode", "host"),
    "a network": ("NetworkMode", "bridge"),
    "another container's network": ("NetworkMode", "container:db"),
    "the network of a compose project": ("NetworkMode", "farm_default"),
    "the host's processes": ("PidMode", "host"),
    "another container's processes": ("PidMode", "container:db"),
    "the host's memory segments": ("IpcMode", "host"),
    "the host's name": ("UTSMode", "host"),
    "the host's users": ("UsernsMode", "host"),
    "the host's control groups": ("CgroupnsMode", "host"),
    "another control group": ("CgroupParent", "/system.slice"),
    "a device": ("Devices", [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rwm"}]),
    "all devices": ("DeviceCgroupRules", ["a *:* rwm"]),
    "a graphics card": ("DeviceRequests", [{"Count": -1}]),
    "a capability": ("CapAdd", ["SYS_ADMIN"]),
    "capabilities that stay": ("CapDrop", ["NET_RAW"]),
    "all capabilities": ("CapDrop", []),
    "no seccomp profile": ("SecurityOpt", ["no-new-privileges", "seccomp=unconfined"]),
    "no seccomp profile, nor the other": ("SecurityOpt", ["seccomp=unconfined"]),
    "no apparmor profile": ("SecurityOpt", ["apparmor=unconfined"]),
    "new privileges": ("SecurityOpt", []),
    "new privileges after all": ("SecurityOpt", ["no-new-privileges:false"]),
    "a root that can be written": ("ReadonlyRootfs", False),
    "another runtime": ("Runtime", "runc-unconfined"),
    "the kernel's settings": ("Sysctls", {"kernel.shm_rmid_forced": "1"}),
    "another group": ("GroupAdd", ["docker"]),
    "names of hosts": ("ExtraHosts", ["mirror:10.0.0.1"]),
    "links": ("Links", ["db:db"]),
    "another's volumes": ("VolumesFrom", ["db"]),
    "a volume driver": ("VolumeDriver", "nfs"),
    "storage": ("StorageOpt", {"size": "1T"}),
    "other limits": ("Ulimits", [{"Name": "nofile", "Soft": 1, "Hard": 1 << 30}]),
    "masked paths": ("MaskedPaths", [""]),
    "no memory limit": ("Memory", 0),
    "too much memory": ("Memory", 64 * GIB),
    "memory as a text": ("Memory", "2147483648"),
    "swap": ("MemorySwap", -1),
    "processes without an end": ("PidsLimit", 0),
    "processes without an end, said otherwise": ("PidsLimit", -1),
    "too many processes": ("PidsLimit", 1 << 20),
    "no killing for memory": ("OomKillDisable", True),
    "no being killed": ("OomScoreAdj", -1000),
    "ports": ("PortBindings", {"80/tcp": [{"HostPort": "80"}]}),
    "all ports": ("PublishAllPorts", True),
    "coming back for ever": ("RestartPolicy", {"Name": "always"}),
    "a log to a host": ("LogConfig", {"Type": "syslog", "Config": {"syslog-address": "tcp://10.0.0.1"}}),
    "a log that fills the disk": ("LogConfig", {"Type": "json-file", "Config": {}}),
    "a file on the host": ("ContainerIDFile", "/etc/cron.d/x"),
    "a field of tomorrow": ("HostAccess", "full"),
    "the host's folder as a mount": ("Mounts", [{"Type": "bind", "Source": "/", "Target": "/in"}]),
    "a pipe": ("Mounts", [{"Type": "npipe", "Source": "x", "Target": "/in"}]),
    "an image as a mount": ("Mounts", [{"Type": "image", "Source": "db", "Target": "/in"}]),
    "another farm's volume": (
        "Mounts",
        [{"Type": "volume", "Source": "kmodci-ffff-x", "Target": "/in", "VolumeOptions": {"NoCopy": True}}],
    ),
    "somebody's volume": (
        "Mounts",
        [{"Type": "volume", "Source": "database", "Target": "/in", "VolumeOptions": {"NoCopy": True}}],
    ),
    "a volume that is a bind": (
        "Mounts",
        [
            {
                "Type": "volume",
                "Target": "/in",
                "VolumeOptions": {
                    "NoCopy": True,
                    "DriverConfig": {"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/"}},
                },
            }
        ],
    ),
    "a volume over the image": (
        "Mounts",
        [{"Type": "volume", "Target": "/etc", "VolumeOptions": {"NoCopy": True}}],
    ),
    "memory without an end": ("Tmpfs", {"/build": "rw,nosuid,nodev"}),
    "set-user-id programs": ("Tmpfs", {"/build": "rw,nodev,size=1"}),
    "devices in memory": ("Tmpfs", {"/build": "rw,nosuid,size=1"}),
    "an option of tmpfs": ("Tmpfs", {"/build": "rw,nosuid,nodev,size=1,dev"}),
    "memory in place of /proc": ("Tmpfs", {"/proc/x": "rw,nosuid,nodev,size=1"}),
    "memory somewhere else": ("Tmpfs", {"/build/../sys": "rw,nosuid,nodev,size=1"}),
    "memory in place of everything": ("Tmpfs", {"/": "rw,nosuid,nodev,size=1"}),
}
CONTAINER = {
    "root": ("User", "0:0"),
    "root by leaving it out": ("User", ""),
    "somebody else's image": ("Image", "debian:12"),
    "an image of a registry": ("Image", "registry.test/kmodci/x:1"),
    "the image that the farm runs from": ("Image", "kmodci/master:local"),
    "an image with another tag": ("Image", "kmodci/toolchain-gcc-12:latest"),
    "an image by its digest": ("Image", "kmodci/x@sha256:" + "0" * 64),
    "an image without a tag": ("Image", "kmodci/x"),
    "an image of a folder below": ("Image", "kmodci/x/y:1"),
    "an image and a line": ("Image", IMAGE + "\n"),
    "an anonymous volume": ("Volumes", {"/etc": {}}),
    "no label": ("Labels", {}),
    "another farm's label": ("Labels", {LABEL: "ffffffffffffffff"}),
    "a label of somebody else": ("Labels", {LABEL: FARM, "com.docker.compose.project": "db"}),
    "a terminal": ("Tty", True),
    "a network by another name": ("NetworkingConfig", {"EndpointsConfig": {"bridge": {}}}),
    "a health check": ("Healthcheck", {"Test": ["CMD", "true"]}),
    "a command when a child is built": ("OnBuild", ["RUN x"]),
    "another program": ("Entrypoint", ["/bin/sh"]),
    "no command": ("Cmd", []),
    "a command as a text": ("Cmd", "true"),
    "an address": ("MacAddress", "02:42:ac:11:00:02"),
    "a shell": ("Shell", ["/bin/sh"]),
}
ATTACKS = {f"HostConfig.{name}": (f"HostConfig.{field}", value) for name, (field, value) in HOST_CONFIG.items()}
ATTACKS |= CONTAINER


@pytest.mark.parametrize(("field", "value"), ATTACKS.values(), ids=ATTACKS.keys())
def test_no_other_container_is_made(field: str, value: object) -> None:
    for policy in (POLICY, ANY_FARM):
        if policy is ANY_FARM and value == {LABEL: "ffffffffffffffff"}:
            continue  # any farm's is what that allows
        with pytest.raises(Denied):
            created(with_field(field, value), policy)


NEEDED = ["NetworkMode", "ReadonlyRootfs", "CapDrop", "SecurityOpt", "Memory", "MemorySwap", "PidsLimit", "LogConfig"]


@pytest.mark.parametrize("name", NEEDED)
def test_nothing_that_holds_a_sandbox_may_be_left_out(name: str) -> None:
    body = sandbox()
    del body["HostConfig"][name]
    with pytest.raises(Denied, match=f"HostConfig.{name}"):
        created(body)


@pytest.mark.parametrize("name", ["Image", "User", "Labels", "HostConfig", "Cmd"])
def test_nor_what_says_whose_it_is(name: str) -> None:
    body = sandbox()
    del body[name]
    with pytest.raises(Denied, match=name):
        created(body)


CASED = st.sampled_from([*HOST_CONFIG.values()]).flatmap(
    lambda attack: st.tuples(
        st.lists(st.booleans(), min_size=len(attack[0]), max_size=len(attack[0])).map(
            lambda upper: "".join(c.upper() if up else c.lower() for c, up in zip(attack[0], upper, strict=True))
        ),
        st.just(attack[1]),
    )
)


@given(CASED, st.booleans(), st.booleans())
def test_no_attack_in_another_case_reaches_the_engine(attack: tuple[str, Any], is_inside: bool, is_first: bool) -> None:
    """Go takes `privileged` for `Privileged`, and of two the last."""
    name, value = attack
    body = sandbox()
    place = body["HostConfig"] if is_inside else body
    if is_first:
        said = {name: value, **{known: it for known, it in place.items() if known != name}}
        place.clear()
        place.update(said)
    else:
        place[name] = value
    try:
        said = json.loads(created(body).body)
    except Denied:
        return
    # what holds nothing is left out, and what was right stays
    assert said == json.loads(created(sandbox()).body)
    assert not value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["Privileged", "privileged", "Binds", "CapAdd", "Devices", "PidMode"]) | st.text(), JSON)
def test_whatever_else_is_said_the_engine_hears_a_sandbox(name: str, value: object) -> None:
    body = with_field(f"HostConfig.{name.replace('.', '')}", value)
    try:
        said = json.loads(created(body).body)["HostConfig"]
    except Denied:
        return
    assert said.keys() == json.loads(created(sandbox()).body)["HostConfig"].keys()
    assert (said["NetworkMode"], said["ReadonlyRootfs"], said["CapDrop"]) == ("none", True, ["ALL"])
    assert said["SecurityOpt"] == ["no-new-privileges"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"\xff", b'{"a": 1, "a": 2}', b'{"Image": "", "image": ""}', b'{"a": NaN}',
        b"[" * 100_000, b'{"a": ' + b"9" * 10_000 + b"}", b'{"Cmd": ["\\ud800"]}',
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_is_not_read(body: bytes) -> None:
    with pytest.raises(Denied):
        created(body)


def test_a_field_twice_in_one_object_is_refused() -> None:
    text = json.dumps(sandbox())
    for twice in ('"NetworkMode": "none", "NetworkMode": "host"', '"NetworkMode": "none", "networkmode": ""'):
        with pytest.raises(Denied, match="there twice"):
            created(text.replace('"NetworkMode": "none"', twice).encode())


def test_what_is_built_by_hand_is_the_farms() -> None:
    by_hand = f"{FARM}-by-hand-4711"
    assert POLICY.owns(by_hand)
    assert not POLICY.owns(f"{FARM}-by-hand-")
    assert not POLICY.owns(f"{FARM}x")
    body = with_field("Labels", {LABEL: by_hand})
    body["HostConfig"]["Mounts"][0]["Source"] = f"kmodci-{by_hand}-worker-01"
    assert created(body).volumes == (f"kmodci-{by_hand}-worker-01",)


def test_every_toolchain_has_an_image_that_may_be_used() -> None:
    made = recipe("gcc-12", distro="debian", series="bookworm")
    for each in (made, for_preparing(made)):
        judge("GET", f"/v1.41/images/{each.tag}/json")
        created(with_field("Image", each.tag))


# what a farm asks, as the Docker SDK and `bot/bridge` write it, and what becomes of the target
ASKED = [
    ("GET", "/version", None),
    ("GET", "/v1.41/_ping", None),
    ("GET", "/v1.41/info", None),
    ("GET", f"/v1.41/images/{IMAGE}/json", None),
    ("DELETE", f"/v1.41/images/{IMAGE}?force=False&noprune=False", None),
    ("POST", "/v1.41/images/create?fromSrc=-&repo=kmodci%2Ftoolchain-gcc-12&tag=cabae92961871268", None),
    ("POST", f"/v1.41/containers/{ID}/start", None),
    ("POST", f"/v1.41/containers/{ID}/kill", None),
    ("POST", f"/v1.41/containers/{ID}/wait?condition=removed", None),
    ("POST", f"/v1.41/containers/{ID}/attach?logs=0&stdout=1&stderr=1&stream=1", None),
    ("POST", f"/containers/{ID}/attach?stream=1&stdin=1&stdout=1&stderr=1", None),
    ("DELETE", f"/v1.41/containers/{ID}?v=True&link=False&force=True", None),
    ("PUT", f"/v1.41/containers/{ID}/archive?path=%2Fin", None),
    ("GET", f"/v1.41/containers/{ID}/archive?path=%2Fkmodci%2F.whole", None),
    ("GET", "/v1.41/containers/buildbot-local-1-58a2c7/json", f"/v1.41/containers/{ID}/json"),
    ("DELETE", f"/v1.41/volumes/{BUNDLE}", None),
]


@pytest.mark.parametrize(("method", "target", "becomes"), ASKED, ids=lambda each: str(each)[:60])
def test_what_a_farm_asks_is_passed_on(method: str, target: str, becomes: str | None) -> None:
    passed = judge(method, target)
    assert passed.target(ID) == (becomes or target)
    assert bool(passed.container) == ("/containers/" in target)
    assert passed.volumes == ((BUNDLE,) if "/volumes/" in target else ())


MINE = json.dumps({"label": [f"{LABEL}={FARM}"]})
LISTS = [
    ("/v1.41/containers/json?limit=-1&all=1&size=0&trunc_cmd=0", {}, {"label": [f"{LABEL}={FARM}"]}),
    (
        "/v1.41/containers/json?limit=-1&all=1&size=0&trunc_cmd=0",
        {"name": ["buildbot-local-1"]},
        {"name": ["buildbot-local-1"], "label": [f"{LABEL}={FARM}"]},
    ),
    ("/v1.41/containers/json?all=1", {"label": [LABEL]}, {"label": [f"{LABEL}={FARM}"]}),
    (
        "/v1.41/volumes",
        {"label": [f"{LABEL}={FARM}-by-hand-7"]},
        {"label": [f"{LABEL}={FARM}-by-hand-7"]},
    ),
]


@pytest.mark.parametrize(("target", "filters", "becomes"), LISTS)
def test_a_list_has_only_what_is_the_farms(target: str, filters: object, becomes: object) -> None:
    mark = "&" if "?" in target else "?"
    passed = judge("GET", target + (f"{mark}{urlencode({'filters': json.dumps(filters)})}" if filters else ""))
    assert json.loads(passed.query["filters"]) == becomes


def test_of_any_farm_a_list_has_what_has_a_farm() -> None:
    passed = judge("GET", "/containers/json", policy=ANY_FARM)
    assert json.loads(passed.query["filters"]) == {"label": [LABEL]}


def test_a_list_of_images_has_only_a_farms() -> None:
    passed = judge("GET", "/v1.41/images/json?only_ids=0&all=0")
    assert json.loads(passed.query["filters"]) == {"reference": ["kmodci/toolchain-*"]}
    with pytest.raises(Denied):
        judge("GET", "/v1.41/images/json?filters=%7B%7D")


NAMED = "repo=kmodci%2Ftoolchain-gcc-12&tag=0123456789abcdef"
REFUSED = [
    ("GET", "/v1.41/containers/json?filters=" + "%7B%22label%22%3A%5B%22kmodci.farm%3Dffff%22%5D%7D"),
    ("GET", "/v1.41/containers/json?filters=" + "%7B%22status%22%3A%5B%22running%22%5D%7D"),
    ("GET", "/v1.41/containers/json?filters=%5B%5D"),
    ("GET", "/v1.41/containers/json?before=db"),
    ("POST", f"/v1.41/containers/{ID}/exec"),
    ("POST", "/v1.41/exec/x/start"),
    ("POST", "/v1.41/build?t=kmodci/x:1"),
    ("POST", "/v1.41/commit?container=x"),
    ("POST", "/v1.41/swarm/init"),
    ("POST", "/v1.41/networks/create"),
    ("POST", "/v1.41/plugins/pull?remote=x"),
    ("POST", "/v1.41/auth"),
    ("POST", "/session"),
    ("POST", "/grpc"),
    ("GET", "/v1.41/events"),
    ("GET", "/v1.41/system/df"),
    ("GET", f"/v1.41/containers/{ID}/export"),
    ("GET", f"/v1.41/containers/{ID}/logs?stdout=1"),
    ("GET", f"/v1.41/containers/{ID}/top"),
    ("GET", f"/v1.41/containers/{ID}/attach/ws?stream=1"),
    ("POST", f"/v1.41/containers/{ID}/update"),
    ("POST", f"/v1.41/containers/{ID}/rename?name=db"),
    ("POST", "/v1.41/containers/prune"),
    ("POST", "/v1.41/images/prune"),
    ("POST", f"/v1.41/containers/{ID}/start?checkpoint=x"),
    ("POST", f"/v1.41/containers/{ID}/kill?signal=STOP"),
    ("POST", f"/v1.41/containers/{ID}/attach"),
    ("POST", f"/v1.41/containers/{ID}/attach?stream=1&detachKeys=a"),
    ("PUT", f"/v1.41/containers/{ID}/archive?path=%2Fetc"),
    ("PUT", f"/v1.41/containers/{ID}/archive?path=%2Fin%2F..%2Fetc"),
    ("PUT", f"/v1.41/containers/{ID}/archive"),
    ("PUT", f"/v1.41/containers/{ID}/archive?path=%2Fin&path=%2Fetc"),
    ("PUT", f"/v1.41/containers/{ID}/archive?path=%2Fin&copyUIDGID=1"),
    ("GET", f"/v1.41/containers/{ID}/archive?path=%2Fproc%2F1"),
    ("GET", f"/v1.41/containers/{ID}/archive?path=%2Fin%2F.."),
    ("GET", f"/v1.41/containers/{ID}/archive?path=%2Fin%2Fsource.tar.zst"),
    ("POST", "/v1.41/images/create?fromImage=debian&tag=12"),
    ("POST", f"/v1.41/images/create?fromSrc=http%3A%2F%2F169.254.169.254%2F&{NAMED}"),
    ("POST", "/v1.41/images/create?fromSrc=-&repo=debian&tag=12"),
    ("POST", "/v1.41/images/create?fromSrc=-&repo=kmodci%2Fmaster&tag=local"),
    ("POST", "/v1.41/images/create?fromSrc=-&repo=kmodci%2Fmaster&tag=0123456789abcdef"),
    ("POST", "/v1.41/images/create?fromSrc=-&repo=kmodci%2Ftoolchain-gcc-12%3Ax&tag=0123456789abcdef"),
    ("DELETE", "/v1.41/images/kmodci/master:local"),
    ("POST", f"/v1.41/images/create?fromSrc=-&{NAMED}&changes=USER%20root"),
    ("POST", "/v1.41/images/load"),
    ("GET", "/v1.41/images/get?names=kmodci/x"),
    ("POST", f"/v1.41/images/{IMAGE}/tag?repo=debian&tag=12"),
    ("POST", f"/v1.41/images/{IMAGE}/push"),
    ("GET", "/v1.41/images/debian:12/json"),
    ("DELETE", "/v1.41/images/debian:12"),
    ("DELETE", "/v1.41/images/sha256:" + "0" * 64),
    ("DELETE", f"/v1.41/images/{IMAGE}?force=1"),
    ("DELETE", "/v1.41/volumes/database"),
    ("GET", f"/v1.41/volumes/{BUNDLE}"),
    ("POST", "/v1.41/volumes/prune"),
    # the same place, written otherwise
    ("GET", "//version"),
    ("GET", "/v1.41//info"),
    ("GET", "/v1.41/./info"),
    ("GET", "/v1.41/images/../info"),
    ("GET", "/v1.41/%69nfo"),
    ("GET", "/v1.41/containers/x%2Fexec/json"),
    ("GET", "/v1.41/containers/x%252Fjson"),
    ("GET", "/info/"),
    ("GET", "/INFO"),
    ("GET", "/v1.41/v1.41/info"),
    ("GET", "/v2.0/info"),
    ("GET", "/info;x"),
    ("GET", "/info#x"),
    ("GET", "/info?x"),
    ("GET", "/info?x=1"),
    ("GET", "http://docker/info"),
    ("OPTIONS", "*"),
    ("GET", "info"),
    ("GET", ""),
    ("GET", "/"),
    ("get", "/info"),
    ("POST", "/info"),
    ("GET", "/v1.41/containers/json?all=1;limit=-1"),
    ("GET", "/v1.41/containers/json?all=%ff"),
    ("GET", "/" + "a" * 5000),
    ("GET", "/info\r\nX: y"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "target"), REFUSED, ids=lambda each: each[:60])
def test_all_else_is_refused(method: str, target: str) -> None:
    with pytest.raises(Denied):
        judge(method, target, b"{}")


@pytest.mark.parametrize(
    "body",
    [
        {"Name": "database", "Labels": {LABEL: FARM}},
        {"Name": BUNDLE},
        {"Name": BUNDLE, "Labels": {LABEL: "ffff"}},
        {"Name": "kmodci-ffff-worker-0", "Labels": {LABEL: FARM}},
        {"Name": BUNDLE, "Labels": {LABEL: FARM}, "Driver": "nfs"},
        {"Name": BUNDLE, "Labels": {LABEL: FARM}, "DriverOpts": {"type": "none", "o": "bind", "device": "/"}},
        {"Name": BUNDLE, "Labels": {LABEL: FARM}, "driveropts": {"type": "none", "o": "bind", "device": "/"}},
        {"Name": BUNDLE, "Labels": {LABEL: FARM}, "ClusterVolumeSpec": {"Group": "x"}},
    ],
)
def test_no_other_volume_is_made(body: dict[str, object]) -> None:
    with pytest.raises(Denied):
        judge("POST", "/v1.41/volumes/create", body)


def test_a_bundles_volume_is_made() -> None:
    client = Recorder()
    client.create_volume(BUNDLE, labels={LABEL: FARM})
    [(method, target, body)] = client.sent
    passed = judge(method, target, body.encode() if isinstance(body, str) else body)
    assert json.loads(passed.body) == {"Name": BUNDLE, "Driver": "local", "Labels": {LABEL: FARM}}


@pytest.mark.parametrize("labels", [None, {}, [], {LABEL: "ffff"}, {LABEL: None}, {LABEL.upper(): FARM}])
def test_what_is_not_labelled_is_not_the_farms(labels: object) -> None:
    with pytest.raises(Denied, match="container x is not this farm's"):
        POLICY.check_owned("container x", labels)
    POLICY.check_owned("container x", {LABEL: FARM})


def test_words_of_others_are_told_harmlessly() -> None:
    body = with_field("HostConfig.\x1b[31m\nforged: line", 1)
    with pytest.raises(Denied) as caught:
        created(body)
    assert "\n" not in caught.value.brief
    assert "\x1b" not in caught.value.brief


@given(st.text(), st.text())
def test_any_target_is_judged_or_refused(method: str, target: str) -> None:
    try:
        passed = judge(method, target)
    except Denied:
        return
    assert passed.route in ROUTES
