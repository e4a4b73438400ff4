from collections.abc import Callable

import pytest
from kmodci.keys import build_prefix, headers_key, index_key, manifest_key, run_key, version_index_key
from kmodci.model import Kernel, Target
from kmodci.release import BadName


def kernel(release: str = "6.12.117+deb13-amd64") -> Kernel:
    return Kernel(
        target=Target(distro="debian", series="trixie", arch="amd64"),
        release=release,
        version="6.12.117-1",
        flavour="amd64",
        toolchain="gcc-14",
        repository="trixie main",
        headers=(),
    )


def test_keys_are_as_designed() -> None:
    place = "modules/scap/0.23.2-6/debian/trixie/amd64/6.12.117+deb13-amd64/"
    assert build_prefix("scap", "0.23.2-6", kernel()) == place
    assert manifest_key("scap", "0.23.2-6", kernel()) == place + "manifest.json"
    assert index_key("scap", "0.23.2-6", kernel().target, "6.1.0-50-amd64") == (
        "index/scap/0.23.2-6/debian/amd64/6.1.0-50-amd64.json"
    )
    assert version_index_key("scap", "0.23.2-6") == "index/scap/0.23.2-6.json"
    assert headers_key("0" * 64) == f"headers/{'0' * 64}.tar.zst"
    assert run_key("20261123-1", "chunk-001") == "state/runs/20261123-1/chunk-001.json"


@pytest.mark.parametrize("evil", ["..", "a/b", "../x", "a b", "$(id)", "a\n", "", "-x", "%2e%2e", "é", "a\0"])
@pytest.mark.parametrize(
    "key",
    [
        lambda evil: build_prefix("scap", "1", kernel(evil)),
        lambda evil: build_prefix(evil, "1", kernel()),
        lambda evil: build_prefix("scap", evil, kernel()),
        lambda evil: Target(distro=evil, series="sid", arch="amd64"),
        lambda evil: Target(distro="debian", series="sid", arch=evil),
        lambda evil: index_key("scap", "1", kernel().target, evil),
        lambda evil: version_index_key("scap", evil),
        headers_key,
        lambda evil: run_key(evil, "matrix"),
        lambda evil: run_key("1", evil),
    ],
)
def test_no_key_from_a_name_that_could_climb(key: Callable[[str], str], evil: str) -> None:
    with pytest.raises(BadName):
        key(evil)
