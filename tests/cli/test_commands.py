import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo, kernel_packages

Run = Callable[..., tuple[int, str, str]]


def test_the_help_of_every_command_has_an_example(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    names = [line.split()[0] for line in out.partition("Commands:\n")[2].splitlines()]
    assert names[:9] == ["check", "doctor", "kernels", "accept", "plan", "images", "hosts", "runs", "watch"]
    for name in (*names[:11], "completion"):
        status, out, _ = run(name, "--help")
        assert status == 0
        assert f"\n  kmodci {name}" in out
        assert "--json" in out


def test_the_help_imports_nothing_of_a_farm() -> None:
    code = "import sys, kmodci.cli as cli\ntry: cli.main()\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    modules = set(done.stdout.splitlines()[-1].split())
    assert "kmodci.errors" in modules
    assert not modules & {"pydantic", "sqlalchemy", "rich", "twisted", "boto3", "kmodci.settings"}


def test_unknown_commands_options_and_scopes_are_mistakes(run: Run) -> None:
    assert run("kernel")[0] == 2
    assert run("kernels", "--jsn")[0] == 2
    status, _, err = run("plan", "--scope", "al")
    assert status == 2
    assert err == "error: no scope 'al' (did you mean 'all'?)\n  hint: kmodci.yml has: all, first-look\n"
    assert "selects nothing: 'scap'" in run("plan", "scap")[2]


def test_check(run: Run, config: Path) -> None:
    status, out, _ = run("check")
    assert status == 0
    assert out.splitlines()[:2] == [f"{config}: good", "  modules       v4l2loopback, scap"]
    assert json.loads(run("check", "--json")[1])["toolchains"] == [f"gcc-{n}" for n in range(9, 17)]


def test_check_tells_every_mistake(run: Run, config: Path) -> None:
    (config / "kmodci.yml").write_text("wbe: {}\nscope: first\n")
    status, out, err = run("check")
    assert (status, out) == (2, "")
    assert err == (
        "error: 2 mistakes in the configuration:\n"
        f"  {config}/kmodci.yml:1: unknown key 'wbe' (did you mean 'web'?)\n"
        f"  {config}/kmodci.yml:2: no scope 'first' in scopes\n"
    )
    status, out, _ = run("check", "--json")
    assert status == 2
    assert len(json.loads(out)["problems"]) == 2


@pytest.fixture
def mirror(tmp_path: Path, config: Path) -> Iterator[AptRepo]:
    """A repository with two kernels, that the configuration follows."""
    with AptRepo(tmp_path) as repo:
        for release in ("6.1.0-98-amd64", "6.1.0-99-amd64"):
            for deb in kernel_packages(tmp_path / "debs", release):
                repo.add(deb)
        repo.publish()
        (config / "kmodci.yml").write_text("state: ../state\n")
        (config / "targets.yml").write_text(f"""\
mirrors: {{debian: {repo.url}}}
toolchains: {{gcc-12: {{distro: debian, series: bookworm}}}}
targets:
  - distro: debian
    series: bookworm
    arches: [amd64]
    repositories: [{{suite: bookworm, keyring: {repo.keyring}}}]
""")
        (config / "modules.yml").write_text("modules: {mine: {source: {path: ../mine}, version: 1.0}}\n")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "mine.c").write_text("/* mine */\n")
        yield repo


def test_where_no_farm_has_run_the_repositories_are_looked_at(run: Run, mirror: AptRepo, tmp_path: Path) -> None:
    status, out, err = run("plan")
    assert (status, err) == (0, "2 builds are due (2 new module)\n")
    assert [line.split()[0] for line in out.splitlines()[1:]] == [
        "mine/debian-bookworm-amd64/6.1.0-99-amd64",
        "mine/debian-bookworm-amd64/6.1.0-98-amd64",
    ]
    assert list((tmp_path / "state").iterdir()) == []


def test_what_cannot_be_read_now_is_a_failure(run: Run, mirror: AptRepo) -> None:
    (mirror.dist / "InRelease").write_text("not signed")
    status, out, err = run("kernels", "--look")
    assert status == 1
    assert out.splitlines()[1:] == []
    assert err.splitlines()[0] == "0 kernels"
    assert err.splitlines()[1].startswith("could not read bookworm main: ")
