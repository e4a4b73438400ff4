import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kmodci.bucket import Bucket, Credentials
from kmodci.errors import StoreError
from support.s3 import bucket, free_port, s3

pytestmark = pytest.mark.slow

__all__ = ["bucket", "s3"]

# releases and versions with every sign that they may hold
KEY = "modules/scap/1:0.23~rc1-6/debian/trixie/amd64/6.12.117+deb13-amd64/scap.ko.xz"


def test_put_get_and_put_again(bucket: Bucket) -> None:
    for data in (b"first", b"", bytes(range(256)) * 1000):
        bucket.put(KEY, data)
        assert bucket.get(KEY) == data
        assert bucket.size(KEY) == len(data)


def test_what_is_not_there(bucket: Bucket, tmp_path: Path) -> None:
    assert bucket.get("nothing/here") is None
    assert bucket.size("nothing/here") is None
    assert bucket.get_file("nothing/here", tmp_path / "x") is False
    assert list(tmp_path.iterdir()) == []
    assert list(bucket.list("nothing/")) == []
    bucket.delete(["nothing/here"])


def test_list_is_whole_and_in_order(bucket: Bucket) -> None:
    keys = sorted(f"index/m/1.0/debian/amd64/6.1.0-{number}-amd64.json" for number in range(30))
    for key in (*keys, "index/m/1.0.json", "modules/x"):
        bucket.put(key, key.encode())
    found = list(bucket.list("index/m/1.0/"))
    assert [item.key for item in found] == keys
    assert [item.size for item in found] == [len(key) for key in keys]
    assert {item.key for item in bucket.list()} == {*keys, "index/m/1.0.json", "modules/x"}


def test_delete(bucket: Bucket) -> None:
    bucket.put("a/b", b"x")
    bucket.put("a/c", b"x")
    bucket.delete(["a/b"])
    assert [item.key for item in bucket.list()] == ["a/c"]


def test_files_of_any_size(bucket: Bucket, tmp_path: Path) -> None:
    """65 MiB go in parts."""
    (tmp_path / "big").write_bytes(bytes(range(256)) * (65 << 12))
    bucket.put_file("images/big.tar.zst", tmp_path / "big")
    assert bucket.get_file("images/big.tar.zst", tmp_path / "back" / "big")
    assert (tmp_path / "back" / "big").read_bytes() == (tmp_path / "big").read_bytes()


def test_json_is_the_same_for_the_same(bucket: Bucket) -> None:
    bucket.put_json("state/a.json", {"b": 1, "a": [2]})
    bucket.put_json("state/b.json", {"a": [2], "b": 1})
    assert bucket.get("state/a.json") == bucket.get("state/b.json") == b'{\n "a": [\n  2\n ],\n "b": 1\n}\n'


def test_from_many_threads(bucket: Bucket) -> None:
    def work(number: int) -> None:
        for step in range(5):
            bucket.put(f"t/{number}/{step}", bytes([number, step]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(bucket.list("t/"))) == 40


def test_ensure_twice(bucket: Bucket) -> None:
    bucket.put("x", b"x")
    bucket.ensure()
    assert bucket.get("x") == b"x"


@pytest.fixture
def impostors(bucket: Bucket) -> Iterator[dict[str, Bucket]]:
    """Buckets that cannot work."""
    wrong = Credentials(access_key="x", secret="y")
    yield {
        "a wrong key": Bucket(bucket.endpoint, bucket.bucket, wrong),
        "no server": Bucket(f"http://127.0.0.1:{free_port()}", "x", wrong),
    }


@pytest.mark.parametrize("which", ["a wrong key", "no server"])
def test_errors_say_where_and_what_to_do(impostors: dict[str, Bucket], which: str) -> None:
    broken = impostors[which]
    with pytest.raises(StoreError) as error:
        broken.put("a/b", b"")
    assert error.value.brief.startswith(f"{broken.endpoint}/{broken.bucket}: could not write a/b: ")
    assert "credentials" in error.value.hint


def test_secrets_are_not_shown() -> None:
    assert "hidden" not in repr(Credentials(access_key="x", secret="hidden"))


def test_url_escapes_a_plus(bucket: Bucket) -> None:
    assert bucket.url(KEY) == f"{bucket.endpoint}/{bucket.bucket}/{KEY.replace('+', '%2B').replace(':', '%3A')}"


def test_every_call_fails_as_our_own_error(impostors: dict[str, Bucket], tmp_path: Path) -> None:
    broken = impostors["a wrong key"]
    (tmp_path / "x").write_bytes(b"x")
    for call in (
        broken.ensure,
        lambda: broken.get("a"),
        lambda: broken.size("a"),
        lambda: list(broken.list()),
        lambda: broken.put_file("a", tmp_path / "x"),
        lambda: broken.get_file("a", tmp_path / "y"),
        lambda: broken.delete(["a"]),
    ):
        with pytest.raises(StoreError):
            call()
    assert not (tmp_path / "y").exists()
