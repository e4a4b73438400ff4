import json

import pytest
from kmodci.errors import VerifyError
from kmodci.facts import Facts, read_facts


def claims(**other: object) -> bytes:
    return json.dumps({"artifacts": ["hello.ko"], "make": {"wall": 1, "user": 2.5, "system": 0.5}, **other}).encode()


def test_what_a_container_says() -> None:
    facts = read_facts(claims(compiler="gcc-12 (Debian) 12.2.0", dkms=None, oom=False))
    assert facts.artifacts == ("hello.ko",)
    assert (facts.make.user, facts.make.system) == (2.5, 0.5)
    assert isinstance(facts, Facts)


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["../../index/hello.ko"],
        ["/etc/hello.ko"],
        ["a/b.ko"],
        ["hello.ko.xz"],
        ["-rf.ko"],
        ["hello.ko\n"],
        ["$(id).ko"],
        ["hello.ko", "hello.ko"],
        [f"m{n}.ko" for n in range(65)],
        [7],
        "hello.ko",
    ],
)
def test_artifacts_are_plain_module_files_and_not_too_many(names: object) -> None:
    with pytest.raises(VerifyError, match=r"facts\.json: artifacts"):
        read_facts(claims(artifacts=names))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 1_000_000])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(VerifyError, match=r"facts\.json"):
        read_facts(text)


@pytest.mark.parametrize("user", ["-1", "NaN", "Infinity", '"much"'])
def test_times_are_numbers_from_zero_on(user: str) -> None:
    with pytest.raises(VerifyError, match=r"make\.user"):
        read_facts(b'{"artifacts": ["hello.ko"], "make": {"user": %s}}' % user.encode())
