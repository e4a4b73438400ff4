import json
from pathlib import Path

from kmodci.cli.processes import MasterProcess
from kmodci.paths import Paths

from .conftest import Run

TARGETS = """
mirrors: {debian: "http://127.0.0.1:1/debian"}
toolchains: {gcc-14: {distro: debian, series: trixie}}
targets:
  - {distro: debian, series: trixie, arches: [amd64], repositories: [{suite: trixie, keyring: /dev/null}]}
"""


def alone(config: Path) -> None:
    """It follows one repository, at a port that nobody listens on."""
    (config / "targets.yml").write_text(TARGETS)
    modules = "modules: {m: {source: {path: /nonexistent}, version: '1'}}\n"
    (config / "modules.yml").write_text(modules)
    (config / "known-failures.yml").write_text("known_failures: []\n")
    farm = config / "kmodci.yml"
    farm.write_text(f"engine: {{docker_host: 'unix://{config.parent}/no.sock'}}\nweb: {{port: 47010}}\n")


def test_it_says_what_is_wrong_where_and_what_to_do(config: Path, run: Run) -> None:
    alone(config)
    state = config.parent / "state"
    status, out, err = run("doctor")
    assert status == 1
    assert "  wrong local: Docker engine unix://" in out
    assert "          -> is the engine running, and may this user use it?" in out
    assert "  wrong trixie main: " in out
    assert "  note  the farm's: there is none yet: the first start makes it" in out
    assert "this check broke" not in out
    assert "looking" in err
    assert list(state.iterdir()) == []
    quiet = run("doctor", "--quiet")[1]
    assert "  good" not in quiet
    assert "  wrong local" in quiet


def test_for_programs(config: Path, run: Run) -> None:
    alone(config)
    status, out, _ = run("doctor", "--json")
    told = json.loads(out)
    assert (status, told["level"], told["problems"]) == (1, "wrong", [])
    parts = {report["part"] for report in told["reports"]}
    assert parts == {
        "versions", "permissions", "disk", "farm", "engine", "images", "bucket", "database", "sources", "mirrors"
    }  # fmt: skip
    [mirror] = [report for report in told["reports"] if report["where"] == "trixie main"]
    assert mirror["level"] == "wrong"
    assert mirror["findings"][0]["advice"]


def test_a_configuration_that_cannot_be_used(config: Path, run: Run) -> None:
    (config / "kmodci.yml").write_text("nonsense: 1\n")
    status, _, err = run("doctor")
    assert status == 2
    assert "unknown key 'nonsense'" in err
    status, out, _ = run("doctor", "--json")
    assert status == 2
    assert "unknown key 'nonsense'" in json.loads(out)["problems"][0]


def test_beside_a_master_it_asks_that_and_no_port(config: Path, run: Run) -> None:
    alone(config)
    with MasterProcess(Paths(config.parent / "state"), config, "", ()).kept_out():
        out = run("doctor")[1]
    assert "and does not answer at http://127.0.0.1:47010/healthz" in out
    assert "is free" not in out


def test_a_native_host_needs_images_of_its_own(config: Path, run: Run) -> None:
    alone(config)
    farm = config / "kmodci.yml"
    targets = config / "targets.yml"
    targets.write_text(targets.read_text().replace("[amd64]", "[amd64, arm64]"))
    there = f"unix://{config.parent}"
    hosts = f"hosts: {{pc: {{docker_host: '{there}/a'}}, ampere: {{docker_host: '{there}/b', arches: [arm64]}}}}\n"
    farm.write_text(f"{hosts}web: {{port: 47010}}\n")
    out = run("doctor")[1]
    assert "kmodci/toolchain-gcc-14:" in out
    assert "kmodci/toolchain-gcc-14-arm64:" in out
