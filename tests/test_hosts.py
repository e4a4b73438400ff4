import pytest
from kmodci.hosts import Answer, Host, HostState, Room, Way, able, choose


def host(name: str, *, arches: str = "amd64", cross: str = "", labels: str = "", at: str = "unix:///s") -> Host:
    split = (frozenset(each.split()) for each in (arches, cross, labels))
    own, others, marks = split
    return Host(name=name, docker_host=at, same_machine=True, arches=own, cross=others, labels=marks)


def named(*hosts: Host) -> dict[str, Host]:
    return {each.name: each for each in hosts}


def test_native_before_cross_however_loaded() -> None:
    hosts = named(host("pc", cross="arm64"), host("ampere", arches="arm64"))
    rooms = {"pc": Room(workers=8, free=8), "ampere": Room(workers=8, free=1)}
    assert choose(hosts, rooms, arch="arm64") == "ampere"
    assert choose(hosts, rooms, arch="amd64") == "pc"
    assert choose(hosts, {**rooms, "ampere": Room(workers=8, free=0)}, arch="arm64") == "pc"


def test_a_host_that_something_has_yet_to_be_made_for_is_passed_over() -> None:
    hosts = named(host("pc", cross="arm64"), host("ampere", arches="arm64"))
    rooms = {"pc": Room(workers=2, free=2), "ampere": Room(workers=2, free=2)}
    assert choose(hosts, rooms, arch="arm64", lacking=["ampere"]) == "pc"
    assert choose(hosts, {**rooms, "pc": Room(workers=2, free=0)}, arch="arm64", lacking=["ampere"]) is None
    assert choose(hosts, rooms, arch="arm64", lacking=["pc", "ampere"]) == "ampere", "no other is better off"
    assert able(hosts, arch="arm64") == ["ampere", "pc"]
    assert able(hosts, arch="arm64", labels=["fast"]) == []


def test_the_least_loaded_of_those_that_are_equal() -> None:
    hosts = named(host("small"), host("large"))
    assert choose(hosts, {"small": Room(2, 1), "large": Room(8, 5)}, arch="amd64") == "large"
    assert choose(hosts, {"small": Room(2, 2), "large": Room(8, 7)}, arch="amd64") == "small"
    assert choose(hosts, {"large": Room(8, 8), "small": Room(2, 2)}, arch="amd64") == "small", "the first of the file"


def test_a_build_waits_for_a_host_that_can() -> None:
    hosts = named(host("plain"), host("signed", labels="secure fast"))
    rooms = {"plain": Room(2, 2), "signed": Room(2, 2)}
    assert choose(hosts, rooms, arch="amd64", labels=("secure",)) == "signed"
    assert choose(hosts, rooms, arch="amd64", labels=("secure", "gpu")) is None
    assert choose(hosts, rooms, arch="arm64") is None
    assert choose(hosts, {"plain": Room(2, 2)}, arch="amd64", labels=("fast",)) is None
    assert choose(hosts, {}, arch="amd64") is None


def test_what_a_host_builds_itself_it_does_not_cross_build() -> None:
    both = host("both", arches="amd64 arm64", cross="arm64")
    assert both.way("arm64") is Way.NATIVE
    assert both.way("riscv64") is None


@pytest.mark.parametrize(
    ("at", "address"),
    [
        ("ssh://builder@far.example.com:2222/run/docker.sock", "ssh://far.example.com:2222/run/docker.sock"),
        ("tcp://10.0.0.1:2376", "tcp://10.0.0.1:2376"),
        ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
    ],
)
def test_an_address_names_no_user(at: str, address: str) -> None:
    assert host("far", at=at).address == address


def test_since_when_a_host_is_as_it_is() -> None:
    answer = Answer(images=frozenset({"a:1"}), cores=4)
    state = HostState()
    assert not state.is_away, "nobody has asked yet"
    state = state.answer(answer, 10).answer(answer, 20)
    assert (state.since, state.answered, state.is_away) == (10, 20, False)
    state = state.fail("refused", 30).fail("no route", 40)
    assert (state.since, state.answered, state.fault) == (30, 20, "no route")
    assert state.last == answer, "what it had when it was last seen"
    state = state.answer(answer, 50)
    assert (state.since, state.answered, state.fault) == (50, 50, "")
