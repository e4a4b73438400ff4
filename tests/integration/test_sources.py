"""Two repositories, of which one misbehaves: what the pages and the command say of it, and what goes on meanwhile."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.model import BuildId, Status
from kmodci.publishing import index_entry
from support.farm import LiveFarm, live_farm, source
from support.realkernels import RealKernel
from support.webpages import FORM, Links, ask, page, told

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(300)]

SUITES = ("one", "two")
ODD = "one main"
HERE = f"kmodci/sources/{quote(ODD)}"


@pytest.fixture(scope="module")
def repos(tmp_path_factory: pytest.TempPathFactory, publish: Callable[..., None]) -> Iterator[dict[str, AptRepo]]:
    """A repository each for two series, with a kernel each."""
    with ExitStack() as stack:
        made = {
            suite: stack.enter_context(AptRepo(tmp_path_factory.mktemp(suite), suite=suite, arches=("amd64",)))
            for suite in SUITES
        }
        publish(made["one"], "old")
        publish(made["two"], "new")
        yield made


@pytest.fixture(scope="module")
def farm(folder: Path, repos: dict[str, AptRepo]) -> Iterator[LiveFarm]:
    """For all of these tests, in their order."""
    targets = [
        {
            "distro": "debian",
            "series": suite,
            "arches": ["amd64"],
            "repositories": [{"suite": suite, "mirror": f"at-{suite}", "keyring": str(repo.keyring)}],
        }
        for suite, repo in repos.items()
    ]
    mirrors = {f"at-{suite}": repo.url for suite, repo in repos.items()}
    with live_farm(folder, None, {"hello": source("hello")}, targets=targets, mirrors=mirrors) as made:
        made.up()
        yield made


@pytest.fixture(scope="module")
def builds(kernels: dict[str, RealKernel]) -> dict[str, str]:
    """The build ids, by the kernel's name."""
    suites = {"old": "one", "new": "two", "new-cloud": "two"}
    return {name: f"hello/debian-{suite}-amd64/{kernels[name].release}" for name, suite in suites.items()}


def one(farm: LiveFarm, name: str = ODD) -> dict[str, Any]:
    return told(farm, f"kmodci/sources/{quote(name)}")


def look_now(farm: LiveFarm, poll: str) -> None:
    """Has every repository looked at, and then so often."""
    settings = json.loads((farm.config / "kmodci.yml").read_text())
    farm.write("kmodci.yml", {**settings, "poll": {"interval": poll, "jitter": "0s"}})
    farm.reconfigure()


def said(farm: LiveFarm, *arguments: str) -> str:
    command = farm.kmodci(*arguments)
    assert command.end() == 0, command.said
    return command.said


def tags(farm: LiveFarm, build: str) -> list[str]:
    builder = farm.builder(build)
    assert builder is not None
    found: list[str] = builder["tags"]
    return found


def press(farm: LiveFarm, form: Mapping[str, str], *, origin: str = "") -> int:
    headers = {"Content-Type": FORM, "Origin": origin or farm.url}
    return ask(farm, f"{HERE}/accept", headers, form)[0]


def test_all_sources_are_shown(farm: LiveFarm, builds: dict[str, str]) -> None:
    for name in ("old", "new"):
        farm.await_built(builds[name])
    # hello is packaged by nobody, and Debian's own suites are there for the toolchains only
    found = {each["name"]: each for each in told(farm, "kmodci/sources")["sources"]}
    assert {name: (each["kind"], each["health"]) for name, each in found.items()} == {
        "one main": ("repository", "good"),
        "two main": ("repository", "good"),
        "hello": ("module", "good"),
        "bookworm main": ("repository", "idle"),
        "trixie main": ("repository", "idle"),
    }
    assert (found[ODD]["kernels"], found[ODD]["error"], found[ODD]["doubt"]) == (1, "", None)
    shown = page(farm, "kmodci/sources")
    links = {link.removeprefix("../") for link in Links(shown).found}
    assert {f"kmodci/sources/{quote(name)}" for name in found} <= links
    for name in found:
        assert f"<h1>{name}</h1>" in page(farm, f"kmodci/sources/{quote(name)}")
    for path in ("kmodci/sources/none", "kmodci/sources.json", "kmodci/sources/%3Cscript%3E", f"{HERE}/other"):
        status, _, body = ask(farm, path)
        assert (status, "<script>" in body) == (404, False), path


def test_one_that_breaks_is_shown_and_stops_nobody_else(
    farm: LiveFarm, repos: dict[str, AptRepo], builds: dict[str, str], publish: Callable[..., None]
) -> None:
    release = repos["one"].dist / "InRelease"
    before, signed = one(farm), release.read_bytes()
    release.write_text("<html><body><script>alert(1)</script>It works!</body></html>")
    seen = farm.until(lambda: found if (found := one(farm))["health"] == "failing" else None)
    assert "not signed" in seen["error"] and seen["hint"]
    # its last good set and its age
    assert (seen["kernels"], seen["gone"], seen["published"]) == (1, 0, before["published"])
    assert seen["last_ok"] < seen["last_try"]
    for shown in (page(farm, HERE), page(farm, "kmodci/sources")):
        assert "not signed" in shown and "failing" in shown and "<script>" not in shown
    assert "1 failing" in (text := said(farm, "kernels", "--sources"))
    assert re.search(r"^one main +failing +1 ", text, re.MULTILINE)
    assert "one main: " in text and "hint: " in text

    publish(repos["two"], "new-cloud")
    farm.await_built(builds["new-cloud"])
    assert one(farm)["health"] == "failing"
    assert one(farm, "two main")["kernels"] == 2
    assert tags(farm, builds["old"]).count("gone") == 0
    release.write_bytes(signed)
    farm.until(lambda: one(farm)["health"] == "good")


def test_an_empty_answer_is_accepted_by_a_form(
    farm: LiveFarm, repos: dict[str, AptRepo], builds: dict[str, str], kernels: dict[str, RealKernel]
) -> None:
    # from now on the farm looks only when it is told to
    look_now(farm, "1h")
    for deb in (repos["one"].root / "pool").iterdir():
        deb.unlink()
    repos["one"].publish()
    look_now(farm, "2h")
    seen = farm.until(lambda: found if (found := one(farm))["health"] == "doubted" else None)
    doubt = seen["doubt"]
    assert (doubt["what"], doubt["looks"], doubt["accepted_by"]) == ("it lists no kernel, and had 1", 1, "")
    assert (seen["kernels"], seen["gone"]) == (1, 0)
    assert "kmodci accept 'one main'" in said(farm, "kernels", "--sources")

    assert f"../../{HERE}/accept" in Links(page(farm, HERE)).found
    question = page(farm, f"{HERE}/accept")
    [answer] = re.findall(r'name="said" value="([^"]+)"', question)
    for origin in ("null", "https://example.org", f"{farm.url}.example.org"):
        assert press(farm, {"said": answer}, origin=origin) == 403, origin
    assert press(farm, {"said": "something else"}) == press(farm, {}) == 409
    assert ask(farm, "kmodci/sources/two%20main/accept", {"Content-Type": FORM, "Origin": farm.url}, {})[0] == 409
    assert one(farm)["doubt"] == doubt, "nothing of this did anything"

    assert press(farm, {"said": answer}) == 303
    seen = farm.until(lambda: found if (found := one(farm))["health"] == "good" else None)
    assert (seen["kernels"], seen["gone"], seen["doubt"], seen["error"]) == (0, 1, None, "")
    assert "accepted by kmodci" in farm.log
    assert press(farm, {"said": answer}) == 409
    assert "Nothing of it is in doubt" in page(farm, f"{HERE}/accept")

    # it is gone, and all that was made of it stays
    name = builds["old"].partition("/")[2]
    [listed] = json.loads(said(farm, "kernels", name, "--json"))["kernels"]
    assert seen["last_ok"] - 60 < listed["gone"] <= seen["last_ok"]
    told_of = json.loads(said(farm, "explain", builds["old"], "--json"))
    assert told_of["status"] == "built" and "gone from one main since 20" in told_of["kernel"]
    farm.until(lambda: "gone" in tags(farm, builds["old"]))
    builder = farm.builder(builds["old"])
    assert builder and "gone from one main since 20" in builder["description"]
    entry = index_entry(farm.bucket, BuildId.parse(builds["old"]), "1.0")
    assert entry and all(farm.bucket.size(file.key) for file in entry.files)


def test_a_kernel_that_is_gone_is_built_of_its_bundle_and_comes_back(
    farm: LiveFarm, builds: dict[str, str], repos: dict[str, AptRepo], publish: Callable[..., None]
) -> None:
    before = farm.outcome(builds["old"])
    assert before is not None
    farm.write_modules({"hello": {**source("hello"), "version": "2.0"}})
    farm.reconfigure()
    after = farm.await_built(builds["old"], after=before.finished)
    assert (after.status, after.module_version) == (Status.BUILT, "2.0")
    publish(repos["one"], "old")
    look_now(farm, "1h")
    farm.until(lambda: one(farm)["kernels"] == 1)
    assert one(farm)["gone"] == 0
    farm.until(lambda: "gone" not in tags(farm, builds["old"]))
    assert farm.outcome(builds["old"]) == after, "nothing is built again for that"
