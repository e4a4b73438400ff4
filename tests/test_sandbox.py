from pathlib import Path

from kmodci.distros import Layout
from kmodci.sandbox import Inputs, Limits, build_environment, host_config, sent_config

LIMITS = Limits(memory=1 << 30, disk=1 << 28, processes=100, seconds=60, output=1 << 20)


def test_a_build_has_no_network_no_rights_and_nothing_to_write_to_but_memory() -> None:
    config = host_config(LIMITS)
    assert config["network_mode"] == "none"
    assert config["read_only"] is True
    assert config["cap_drop"] == ["ALL"]
    assert config["security_opt"] == ["no-new-privileges"]
    assert config["mem_limit"] == config["memswap_limit"] == LIMITS.memory
    assert config["pids_limit"] == LIMITS.processes
    # in its environment Docker's init would keep the password that the worker takes out of its own
    assert config["init"] is False
    # what a build prints is not for the disk of the engine's machine
    assert config["log_config"] == {"Type": "none", "Config": {}}
    tmpfs = config["tmpfs"]
    assert isinstance(tmpfs, dict)
    assert {f"size={LIMITS.disk}", "nosuid", "nodev"} <= set(tmpfs["/build"].split(","))


def test_all_that_is_mounted_is_read_only() -> None:
    inputs = Inputs(bundle=Path("/b"), files=Path("/i"), headers={"linux-headers-1": Path("/h")}, sockets=Path("/s"))
    seen = ["/b:/kmodci:ro", "/i:/in:ro", "/h:/usr/src/linux-headers-1:ro", "/s:/run/kmodci:ro"]
    assert inputs.binds == seen
    assert Inputs(bundle=Path("/b"), files=Path("/i")).binds == seen[:2]


def test_what_is_sent_ends_with_its_container_and_what_is_shared_is_read_only() -> None:
    config = sent_config("kmodci-farm-worker-1")
    mounts = config["mounts"]
    assert isinstance(mounts, list)
    shared, own = mounts
    assert (shared["Source"], shared["Target"], shared["ReadOnly"]) == ("kmodci-farm-worker-1", "/kmodci", True)
    # a volume without a name is removed with its container
    assert own["Target"] == "/in"
    assert "Source" not in own


def test_the_environment_is_the_same_at_any_time_and_holds_no_more_than_asked() -> None:
    asked = {"release": "6.1.0-50-amd64", "arch": "amd64", "toolchain": "gcc-12", "module": "m", "version": "1"}
    layout = Layout(trees=(), own="linux-headers-6.1.0-50-amd64")
    environment = build_environment(**asked, layout=layout, recipe={"KMODCI_BUILD": "make"}, limits=LIMITS)
    assert environment == build_environment(**asked, layout=layout, recipe={"KMODCI_BUILD": "make"}, limits=LIMITS)
    assert environment["KMODCI_HEADERS"] == "linux-headers-6.1.0-50-amd64"
    assert environment["KMODCI_BUILD"] == "make"
    assert environment["KMODCI_MEMORY"] == str(LIMITS.memory)
    assert {name for name in environment if not name.startswith(("KMODCI_", "KBUILD_BUILD_"))} == {"SOURCE_DATE_EPOCH"}
