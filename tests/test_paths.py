import socket
from pathlib import Path

import pytest
from kmodci.paths import Paths


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as made:
        try:
            made.connect(str(path))
        except OSError:
            return False
        return True


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "s")


def listening(paths: Paths) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    paths.socket("pb.sock").unlink(missing_ok=True)
    made.bind(str(paths.socket("pb.sock")))
    made.listen()
    return made


def test_a_door_leads_to_the_socket_until_it_is_shut_and_no_other_is(paths: Paths) -> None:
    with listening(paths):
        for worker in ("local-1", "local-2"):
            paths.open_door(worker, "pb.sock")
            assert connects(paths.door(worker) / "pb.sock")
        paths.shut_door("local-1", "pb.sock")
        paths.shut_door("local-1", "pb.sock")
        assert list(paths.door("local-1").iterdir()) == []
        assert connects(paths.door("local-2") / "pb.sock")
        assert connects(paths.socket("pb.sock"))


def test_a_door_of_a_master_before_is_made_anew(paths: Paths) -> None:
    with listening(paths):
        paths.open_door("local-1", "pb.sock")
    with listening(paths):
        assert not connects(paths.door("local-1") / "pb.sock")
        paths.open_door("local-1", "pb.sock")
        assert connects(paths.door("local-1") / "pb.sock")


def test_only_its_own_container_gets_to_a_door(paths: Paths) -> None:
    paths.socket("pb.sock")
    assert paths.door("local-1").stat().st_mode & 0o777 == 0o755
    assert paths.sockets.stat().st_mode & 0o777 == 0o700
