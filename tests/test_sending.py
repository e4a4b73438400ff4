"""What is sent to an engine on another machine, as an engine would see it."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import pytest
from docker.errors import NotFound
from kmodci.sending import bundle_filler, fill_bundle, send_inputs, volume_name


class Engine:
    """Takes what it is sent; `stored` is by path."""

    farm = "f00"

    def __init__(self) -> None:
        self.stored: dict[str, tarfile.TarInfo] = {}
        self.contents: dict[str, bytes] = {}
        self.order: list[str] = []
        self.volumes: dict[str, Mapping[str, str]] = {}
        self.containers: set[str] = set()
        self.takes = 10**9

    def put_archive(self, container: str, path: str, data: IO[bytes]) -> bool:
        with tarfile.open(fileobj=io.BytesIO(data.read()), mode="r:") as tar:
            for number, member in enumerate(tar):
                if number == self.takes:
                    raise ConnectionError("broken off")
                place = f"{path}/{member.name}"
                self.stored[place] = member
                self.order.append(place)
                file = tar.extractfile(member)
                if file is not None:
                    self.contents[place] = file.read()
        return True

    def get_archive(self, container: str, path: str) -> object:
        if path not in self.stored:
            raise NotFound(path)
        return path

    def create_volume(self, name: str, *, labels: Mapping[str, str]) -> object:
        self.volumes[name] = labels
        return name

    def create_container(self, image: str, command: list[str], **arguments: object) -> dict[str, str]:
        self.containers.add("c1")
        return {"Id": "c1"}

    def create_host_config(self, **arguments: object) -> dict[str, object]:
        return dict(arguments)

    def remove_container(self, container: str, **arguments: object) -> None:
        self.containers.remove(container)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "worker-0123"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python3").write_bytes(b"elf")
    (folder / "bin" / "python3").chmod(0o755)
    return folder


def test_a_bundle_is_sent_once_and_again_when_it_was_broken_off(bundle: Path) -> None:
    engine = Engine()
    engine.takes = 2
    with pytest.raises(ConnectionError), bundle_filler(engine, "image", bundle) as container:
        fill_bundle(engine, container, bundle)
    assert engine.containers == set()
    engine.takes = 10**9
    with bundle_filler(engine, "image", bundle) as container:
        fill_bundle(engine, container, bundle)
    assert engine.contents["/kmodci/./bin/python3"] == b"elf"
    assert engine.order[-1] == "/kmodci/.whole", "what says that it is whole comes last"
    sent = len(engine.order)
    with bundle_filler(engine, "image", bundle) as container:
        fill_bundle(engine, container, bundle)
    assert len(engine.order) == sent
    assert engine.containers == set()
    assert engine.volumes == {volume_name("f00", bundle): {"kmodci.farm": "f00"}}


def test_inputs_are_roots_and_can_be_read(tmp_path: Path) -> None:
    engine, cached = Engine(), tmp_path / "v4l2loopback-0.15-abc.tar.zst"
    cached.write_bytes(b"source")
    cached.chmod(0o600)
    # a cached file has other names, too
    (tmp_path / "other").hardlink_to(cached)
    send_inputs(engine, "c1", {"source.tar.zst": cached, "again": tmp_path / "other"})
    assert engine.contents == {"/in/source.tar.zst": b"source", "/in/again": b"source"}
    for member in engine.stored.values():
        assert (member.uid, member.gid, member.uname, oct(member.mode)) == (0, 0, "", "0o644")
