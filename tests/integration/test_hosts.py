"""Two build hosts, each reached over mutual TLS in a network of its own: chosen, lost, hung, back, and kept clean."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.engine import Engine
from kmodci.errors import EngineError
from kmodci.hosts import Tls
from kmodci.images import Recipe, recipe
from support.authority import Authority
from support.chaos import RETRY, SUCCESS, await_rest, check_all, let_go, results
from support.farm import TARGET, LiveFarm, gated, live_farm, write_root_of
from support.ownengine import OwnEngine, Remote
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(900)]

HOSTS = ("one", "two")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours", "kmodci test")


@pytest.fixture(scope="module")
def engines(authority: Authority) -> Iterator[dict[str, OwnEngine]]:
    remotes = {name: Remote(number, authority) for number, name in enumerate(HOSTS)}
    with OwnEngine(remote=remotes["one"]) as one, OwnEngine(remote=remotes["two"]) as two:
        yield {"one": one, "two": two}


@pytest.fixture(scope="module")
def repo(repo: AptRepo, publish: Callable[..., None]) -> AptRepo:
    publish(repo, "old", "old-cloud")
    return repo


@pytest.fixture(scope="module")
def made(kernels: dict[str, RealKernel]) -> Recipe:
    return recipe(kernels["old"].toolchain, distro="debian", series="bookworm")


@pytest.fixture(scope="module")
def farm(
    tmp_path_factory: pytest.TempPathFactory,
    repo: AptRepo,
    authority: Authority,
    engines: dict[str, OwnEngine],
    made: Recipe,
) -> Iterator[LiveFarm]:
    """Up, with the image in the bucket and on no host; one build at once on each."""
    tls = authority.tls("farm")
    hosts = {name: {"docker_host": engines[name].address, "tls": tls, "workers": 1} for name in HOSTS}
    modules = {"first": gated(), "second": gated()}
    folder = tmp_path_factory.mktemp("farm")
    with live_farm(folder, repo, modules, hosts=hosts) as farm:
        farm.s3_server.start()
        archive = folder / "image.tar.zst"
        write_root_of(made.tag, archive)
        farm.bucket.ensure()
        farm.bucket.put_file(made.key, archive)
        farm.up()
        yield farm


def host_of(build: dict[str, Any]) -> str:
    return str(build["properties"]["workername"][0]).rpartition("-")[0]


def builds_of(kernels: dict[str, RealKernel]) -> set[str]:
    releases = [kernels[name].release for name in ("old", "old-cloud")]
    return {f"{module}/{TARGET}/{release}" for module in ("first", "second") for release in releases}


def test_only_the_farm_gets_in(
    engines: dict[str, OwnEngine], authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what stands for the authority of every `requests`, unless it is told otherwise
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    other = Authority(tmp_path / "theirs", "somebody else")
    cert, key = authority.client("tester")
    theirs, their_key = other.client("tester")
    ours = Engine(engines["one"].address, farm="x", tls=Tls(ca=authority.ca, cert=cert, key=key))
    assert ours.look().cores
    with pytest.raises(EngineError, match="refuses the certificate of this farm"):
        replace(ours, tls=Tls(ca=authority.ca, cert=theirs, key=their_key)).look()
    with pytest.raises(EngineError, match="its certificate is not to be trusted"):
        replace(ours, tls=Tls(ca=other.ca, cert=cert, key=key)).look()
    with pytest.raises(EngineError) as caught:
        replace(ours, tls=Tls(ca=authority.ca, cert=tmp_path / "no.pem", key=key)).look()
    assert "names files that are not there" in caught.value.hint


def test_a_host_is_killed_in_the_middle_and_comes_back(
    farm: LiveFarm, engines: dict[str, OwnEngine], kernels: dict[str, RealKernel], made: Recipe
) -> None:
    builds = builds_of(kernels)
    running = farm.until(lambda: found if len(found := farm.running()) == len(HOSTS) else None, seconds=240)
    assert {host_of(build) for build in running.values()} == set(HOSTS), "the least loaded is next"
    for name in HOSTS:
        assert made.tag in farm.engines[name].tags(), "loaded from the bucket"
        [container] = farm.containers(name).values()
        assert networks_of(farm.engines[name], container) == "none"
    [lost] = [name for name, build in running.items() if host_of(build) == "two"]
    engines["two"].kill()
    farm.until(lambda: "host two is away" in farm.log)
    assert farm.hosts()["two"]["standing"] == "away"
    assert farm.hosts()["one"]["standing"] == "answers"
    let_go(farm, builds, seconds=400)
    tries = farm.builds(lost)
    assert [build["results"] for build in tries] == [RETRY, SUCCESS]
    assert [host_of(build) for build in tries] == ["two", "one"]
    assert "lost_with_host" in tries[0]["properties"]
    await_rest(farm)
    check_all(farm, builds)

    engines["two"].start()
    farm.until(lambda: farm.hosts()["two"]["standing"] == "answers")
    assert farm.log.count("host two is away") == farm.log.count("host two is back") == 1
    again = sorted(builds)[:2]
    force_all(farm, again)
    back = farm.until(lambda: found if len(found := farm.running()) == len(HOSTS) else None)
    assert {host_of(build) for build in back.values()} == set(HOSTS)
    farm.until(lambda: farm.open_gates() or all(farm.is_complete(build) for build in back.values()))
    assert all(results(farm, name)[-1] == SUCCESS for name in again)
    await_rest(farm)


def networks_of(engine: Engine, container: str) -> str:
    client = engine.client()
    try:
        return str(client.inspect_container(container)["HostConfig"]["NetworkMode"])
    finally:
        client.close()


def test_a_host_that_hangs_holds_up_nobody(
    farm: LiveFarm, engines: dict[str, OwnEngine], kernels: dict[str, RealKernel]
) -> None:
    names = sorted(builds_of(kernels))
    let_go(farm, set(names), seconds=400)
    await_rest(farm)
    before = {name: len(farm.builds(name)) for name in names}
    force_all(farm, names[:2])
    running = farm.until(lambda: found if len(found := farm.running()) == len(HOSTS) else None)
    [stuck] = [name for name, build in running.items() if host_of(build) == "one"]
    with engines["one"].hanging():
        force_all(farm, names[2:])
        farm.until(lambda: farm.hosts()["one"]["standing"] == "away")
        # what waits is built on the other, while nothing that asks the first one gets an answer

        def elsewhere(*wanted: str) -> bool:
            farm.open_gates_on("two")
            return all(results(farm, each)[before[each] :].count(SUCCESS) == 1 for each in wanted)

        farm.until(lambda: elsewhere(*(name for name in names if name != stuck)), seconds=240)
        # it has not answered for a minute: its build is given up, and tried again on the other
        farm.until(lambda: elsewhere(*names), seconds=240)
    tries = farm.builds(stuck)[before[stuck] :]
    assert [(build["results"], host_of(build)) for build in tries] == [(RETRY, "one"), (SUCCESS, "two")]
    farm.until(lambda: farm.hosts()["one"]["standing"] == "answers")


def test_what_nobody_owns_goes_from_both(farm: LiveFarm, made: Recipe) -> None:
    for name in HOSTS:
        client = farm.engines[name].client()
        try:
            client.create_container(made.tag, ["/nothing"], name=f"left-{name}")
            client.create_volume("kmodci-old-worker", labels={"kmodci.farm": farm.engine.farm})
        finally:
            client.close()
    farm.until(lambda: not any(farm.containers(name) for name in HOSTS), seconds=120)
    for name in HOSTS:
        client = farm.engines[name].client()
        try:
            left = client.volumes(filters={"label": f"kmodci.farm={farm.engine.farm}"})["Volumes"]
        finally:
            client.close()
        assert [volume["Name"].rpartition("-")[0] for volume in left] == [f"kmodci-{farm.engine.farm}-worker"]


def force_all(farm: LiveFarm, names: list[str]) -> None:
    for name in names:
        module, _, kernel = name.partition("/")
        status, answer = farm.force(module=module, kernel=kernel, builderid=0, rebuild=True)
        assert status == 200, answer
