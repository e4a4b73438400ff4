"""What a build needs, sent to an engine on another machine through the engine's own API.

The worker bundle is in a volume, named by what is in it, that all containers mount read-only: sent once. A build's own
inputs go to a volume of its container's own (`sandbox.sent_config`), and end with that.
"""

import contextlib
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Protocol

from docker.errors import APIError, NotFound

from .sandbox import BUNDLE_MOUNT, INPUT_MOUNT, LABEL, NO_LOG, NOTHING

# written last, so that a volume that has it has all
_WHOLE = ".whole"
# what is larger is put together on disk
_IN_MEMORY = 32 << 20
# of what is never started
_LITTLE: Mapping[str, object] = MappingProxyType({"mem_limit": 64 << 20, "memswap_limit": 64 << 20, "pids_limit": 16})


class Client(Protocol):
    """What is used of the Docker SDK's client."""

    farm: str

    def put_archive(self, container: str, path: str, data: IO[bytes]) -> bool: ...
    def get_archive(self, container: str, path: str) -> object: ...
    def create_volume(self, name: str, *, labels: Mapping[str, str]) -> object: ...
    def create_container(self, image: str, command: list[str], **arguments: object) -> dict[str, str]: ...
    def create_host_config(self, **arguments: object) -> dict[str, object]: ...
    def remove_container(self, container: str, **arguments: object) -> None: ...


def volume_name(farm: str, bundle: Path) -> str:
    """Of the volume that holds a worker bundle."""
    return f"kmodci-{farm}-{bundle.name}"


@contextlib.contextmanager
def bundle_filler(client: Client, image: str, bundle: Path) -> Iterator[str]:
    """A container, never started, through which the bundle's volume is filled; the volume is made if there is none."""
    name = volume_name(client.farm, bundle)
    client.create_volume(name, labels={LABEL: client.farm})
    mount = {"Type": "volume", "Source": name, "Target": BUNDLE_MOUNT, "VolumeOptions": {"NoCopy": True}}
    config = client.create_host_config(**NOTHING, **NO_LOG, **_LITTLE, mounts=[mount])
    container = client.create_container(image, ["/nothing"], host_config=config)["Id"]
    try:
        yield container
    finally:
        with contextlib.suppress(NotFound):
            client.remove_container(container, force=True)


def fill_bundle(client: Client, container: str, bundle: Path) -> None:
    """Sends the bundle to its volume, unless it is there. What was sent in part before is sent again."""
    try:
        client.get_archive(container, f"{BUNDLE_MOUNT}/{_WHOLE}")
    except NotFound:
        with _archive() as (file, tar):
            tar.add(bundle, arcname=".", filter=_of_root)
            tar.addfile(_of_root(tarfile.TarInfo(_WHOLE)))
            _put(client, container, BUNDLE_MOUNT, file, tar)


def send_inputs(client: Client, container: str, files: Mapping[str, Path]) -> None:
    """Puts files into a container's inputs, under their names; it may be running."""
    with _archive() as (file, tar):
        for name, path in files.items():
            info = _of_root(tar.gettarinfo(path, arcname=name))
            info.mode = 0o644
            with path.open("rb") as content:
                tar.addfile(info, content)
        _put(client, container, INPUT_MOUNT, file, tar)


@contextlib.contextmanager
def _archive() -> Iterator[tuple[IO[bytes], tarfile.TarFile]]:
    with (
        tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        yield file, tar


def _put(client: Client, container: str, path: str, file: IO[bytes], tar: tarfile.TarFile) -> None:
    tar.close()
    file.seek(0)
    if not client.put_archive(container, path, file):
        raise APIError(f"what was sent to {path} was not taken")


def _of_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """With an owner that no build is."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info
