import os
import signal
import stat
import subprocess
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
from kmodci.bucket import Bucket
from kmodci.embedded import EmbeddedS3, credentials
from kmodci.errors import StoreError
from support.s3 import free_port, serving

pytestmark = pytest.mark.slow


def test_what_is_written_is_there_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.bucket().put("a/b", b"x")
        assert server.running()
    assert not server.running()
    with EmbeddedS3(tmp_path, port=free_port()) as bucket:
        assert bucket.get("a/b") == b"x"


def test_nobody_else_reads_the_credentials(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        kept = tmp_path / "s3-credentials.json"
        keys = credentials(kept)
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        pid = int((tmp_path / "s3.pid").read_text())
        assert keys.secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert keys.secret not in (tmp_path / "s3.log").read_text()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{server.endpoint}/kmodci")


def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        port = int(server.endpoint.rpartition(":")[2])
        told = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
        assert [line.split()[3] for line in told.splitlines()] == [f"127.0.0.1:{port}"]


def test_credentials_are_made_once(tmp_path: Path) -> None:
    assert credentials(tmp_path / "c") == credentials(tmp_path / "c") != credentials(tmp_path / "d")


@pytest.mark.parametrize(("content", "mode"), [("", 0o600), ("{}", 0o600), ("{", 0o600), (None, 0o644)])
def test_credentials_that_are_none_or_not_secret(tmp_path: Path, content: str | None, mode: int) -> None:
    credentials(tmp_path / "c")
    if content is not None:
        (tmp_path / "c").write_text(content)
    (tmp_path / "c").chmod(mode)
    with pytest.raises(StoreError, match=r"others may read it|holds no credentials"):
        credentials(tmp_path / "c")


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with serving(tmp_path / "first") as first:
        second = EmbeddedS3(tmp_path / "second", port=int(first.endpoint.rpartition(":")[2]))
        with pytest.raises(StoreError, match="address already in use"):
            second.start()
        assert not second.running()
        assert first.bucket().get("x") is None


def test_one_left_by_a_killed_owner_is_replaced(tmp_path: Path) -> None:
    left = EmbeddedS3(tmp_path, port=free_port())
    left.start().put("a", b"x")
    with EmbeddedS3(tmp_path, port=free_port()) as bucket:
        assert bucket.get("a") == b"x"
        assert not left.running()
    left.stop()


def test_stop_ends_one_that_another_command_started(tmp_path: Path) -> None:
    port = free_port()
    left = EmbeddedS3(tmp_path, port=port)
    left.start()
    EmbeddedS3(tmp_path, port=port).stop()
    assert not left.running()
    assert not (tmp_path / "s3.pid").exists()


def test_a_pid_that_is_another_programs_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s3.pid").write_text(f"{os.getpid()}\n")
    with serving(tmp_path) as server:
        assert server.running()


def test_a_command_uses_the_one_that_runs_and_leaves_it_running(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        other = EmbeddedS3(tmp_path, port=int(server.endpoint.rpartition(":")[2]))
        with other.available() as bucket:
            bucket.put("a", b"x")
        assert server.running()
        assert server.bucket().get("a") == b"x"


def test_where_none_runs_a_command_has_one_for_as_long_as_it_needs_it(tmp_path: Path) -> None:
    server = EmbeddedS3(tmp_path, port=free_port())
    with server.available() as bucket:
        bucket.put("a", b"x")
        assert server.running()
    assert not server.running()
    assert not (tmp_path / "s3.pid").exists()


def test_a_farm_that_starts_meanwhile_takes_over(tmp_path: Path) -> None:
    port = free_port()
    farm = EmbeddedS3(tmp_path, port=port)
    with EmbeddedS3(tmp_path, port=port).available() as bucket:
        farm.start()
        bucket.put("a", b"x")
    assert farm.running()
    with EmbeddedS3(tmp_path, port=port).available() as bucket:
        assert bucket.get("a") == b"x"
    farm.stop()
    assert not (tmp_path / "s3.pid").exists()


def test_what_a_killed_server_was_writing_is_never_seen_and_does_not_stay(tmp_path: Path) -> None:
    server = EmbeddedS3(tmp_path, port=free_port())
    bucket = server.start()
    bucket.put("modules/a.ko", b"old")
    writer = threading.Thread(target=put_in_vain, args=(bucket, "modules/a.ko", b"x" * (64 << 20)))
    writer.start()
    while not (half := list(tmp_path.rglob(".rclone_temp_put_*"))):
        assert writer.is_alive()
    os.kill(int((tmp_path / "s3.pid").read_text()), signal.SIGKILL)
    writer.join()
    assert half[0].exists()
    with EmbeddedS3(tmp_path, port=free_port()) as again:
        assert [(found.key, found.size) for found in again.list()] == [("modules/a.ko", 3)]
    assert not half[0].exists()


def put_in_vain(bucket: Bucket, key: str, data: bytes) -> None:
    with suppress(StoreError):
        bucket.put(key, data)
