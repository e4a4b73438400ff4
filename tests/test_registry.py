"""The farm as a registry: a real S3 server behind it, and before it HTTP, a registry client, hostile askers."""

import hashlib
import http.client
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import zstandard
from kmodci.bot.registry import Images
from kmodci.bucket import Bucket
from kmodci.caches import Caches
from kmodci.errors import EngineError, NotFound, StoreError
from kmodci.images import Recipe, lost_note, natively, recipe
from kmodci.oci import CONFIG, LAYER, MANIFEST, digest_of
from kmodci.paths import Paths
from kmodci.registry import Registry
from kmodci.store import Store
from kmodci.tarzst import packed
from support.apisite import reactor_thread
from support.authority import Authority
from support.s3 import bucket, s3
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import blockingCallFromThread
from twisted.web.resource import Resource
from twisted.web.server import Site

pytestmark = pytest.mark.slow

__all__ = ["bucket", "s3"]

GCC12 = recipe("gcc-12", distro="debian", series="bookworm")
FOR_ARM = natively(GCC12, "arm64")


@dataclass(frozen=True, slots=True)
class Bundles:
    """A worker of three files, for each architecture."""

    folder: Path

    def place(self, arch: str) -> Path:
        return self.folder / f"worker-{arch}"

    def made(self, arch: str) -> Path:
        return self.place(arch)

    def make(self, arch: str) -> None:
        root = self.place(arch)
        (root / "bin").mkdir(parents=True)
        (root / "bin" / "python3").write_bytes(arch.encode() * 100_000)
        (root / "bin" / "python3").chmod(0o755)
        (root / "worker.py").write_text("print()")
        (root / "worker.py").chmod(0o644)
        (root / "link").symlink_to("worker.py")


@pytest.fixture
def registry(tmp_path: Path, bucket: Bucket) -> Registry:
    paths = Paths(tmp_path / "state")
    paths.state.mkdir()
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    bundles = Bundles(tmp_path / "bundles")
    for made in (GCC12, FOR_ARM):
        bundles.make(made.arch)
    return opened(paths, store, bucket, bundles)


def opened(paths: Paths, store: Store, bucket: Bucket, bundles: object) -> Registry:
    return Registry(
        paths=paths,
        store=store,
        bucket=bucket,
        bundles=cast(Any, bundles),
        caches=Caches(paths, 1 << 30),
        images={made.short: made for made in (GCC12, FOR_ARM)},
    )


def again(registry: Registry) -> Registry:
    """The same, of a master that was started again."""
    return opened(registry.paths, registry.store, registry.bucket, registry.bundles)


def archive(folder: Path, content: str = "/usr/bin/gcc-12", bucket: Bucket | None = None, made: Recipe = GCC12) -> Path:
    """A root file system, in the bucket if one is said."""
    root = folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "hello").write_text(content)
    path = folder / "root.tar.zst"
    packed(root, path, below=".")
    if bucket:
        bucket.put_file(made.key, path)
    return path


def layers_of(registry: Registry, reference: str) -> list[str]:
    name, _, digest = reference.removeprefix("kmodci/").partition("@")
    manifest = registry.manifest(name, digest).content
    assert isinstance(manifest, bytes)
    return [layer["digest"] for layer in json.loads(manifest)["layers"]]


def test_an_image_is_named_by_its_content(registry: Registry, bucket: Bucket, tmp_path: Path) -> None:
    data = archive(tmp_path, bucket=bucket).read_bytes()
    reference = registry.reference(GCC12.tag)
    assert reference.startswith("kmodci/toolchain-gcc-12@sha256:")
    # as it is in the bucket, and the worker; nothing else lies there
    assert layers_of(registry, reference)[0] == digest_of(data)
    cached = {f"sha256:{path.name.removesuffix('.tar.zst')}" for path in registry.paths.cache("layers").iterdir()}
    assert cached == set(layers_of(registry, reference))
    assert list(registry.paths.scratch.iterdir()) == []
    # and by nothing else: had again on another disk, by another farm
    shutil.rmtree(registry.paths.state / "cache")
    registry.store.forget_metas(registry.store.metas("layer/"))
    assert again(registry).reference(GCC12.tag) == reference


def test_an_image_for_another_architecture_has_another_worker(
    registry: Registry, bucket: Bucket, tmp_path: Path
) -> None:
    archive(tmp_path, bucket=bucket)
    archive(tmp_path, bucket=bucket, made=FOR_ARM)
    usual, arm = registry.reference(GCC12.tag), registry.reference(FOR_ARM.tag)
    assert arm.startswith("kmodci/toolchain-gcc-12-arm64@sha256:")
    both = [layers_of(registry, reference) for reference in (usual, arm)]
    assert both[0][0] == both[1][0] and both[0][1] != both[1][1]
    config = json.loads(cast(bytes, registry.manifest("toolchain-gcc-12-arm64", FOR_ARM.digest).content))["config"]
    blob = registry.blob("toolchain-gcc-12-arm64", config["digest"])
    assert (blob.type, json.loads(cast(bytes, blob.content))["architecture"]) == (CONFIG, "arm64")


def test_an_image_that_was_never_made_is_asked_for(registry: Registry, bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=f"image {GCC12.tag} is not made yet"):
        registry.reference(GCC12.tag)
    assert registry.store.meta(lost_note(GCC12.tag))
    with pytest.raises(EngineError, match="is no image of this configuration"):
        registry.reference("kmodci/toolchain-gcc-12:0123456789abcdef")
    # who only looks has nothing made
    with pytest.raises(NotFound):
        registry.manifest(FOR_ARM.name, FOR_ARM.digest)
    assert not registry.store.meta(lost_note(FOR_ARM.tag))
    archive(tmp_path, bucket=bucket)
    assert registry.reference(GCC12.tag)


def test_two_pods_at_once_have_it_had_once(registry: Registry, bucket: Bucket, tmp_path: Path) -> None:
    archive(tmp_path, bucket=bucket)
    asked: list[str] = []

    def get_file(key: str, path: Path) -> bool:
        asked.append(key)
        return bucket.get_file(key, path)

    registry.bucket = cast(Any, SimpleNamespace(get_file=get_file))
    with ThreadPoolExecutor(8) as pool:
        references = set(pool.map(registry.reference, [GCC12.tag] * 8))
    assert len(references) == 1
    assert asked == [GCC12.key]
    # nor after the next start
    registry = again(registry)
    assert {registry.reference(GCC12.tag)} == references
    assert asked == [GCC12.key]


@pytest.mark.parametrize("harm", ["pruned", "shorter", "other bytes"])
def test_a_layer_that_is_not_what_it_was_is_had_again(
    registry: Registry, bucket: Bucket, tmp_path: Path, harm: str
) -> None:
    archive(tmp_path, bucket=bucket)
    reference = registry.reference(GCC12.tag)
    whole = {path: path.read_bytes() for path in registry.paths.cache("layers").iterdir()}
    for path, content in whole.items():
        if harm == "pruned":
            path.unlink()
        else:
            path.write_bytes(content[:-1] + (b"" if harm == "shorter" else b"x"))
    registry = again(registry)
    name, digests = GCC12.name, layers_of(registry, reference)
    for digest in digests:
        blob = registry.blob(name, digest)
        assert (blob.type, blob.digest) == (LAYER, digest)
        assert isinstance(blob.content, Path) and digest_of(blob.content.read_bytes()) == digest
    assert registry.reference(GCC12.tag) == reference


def test_an_image_that_was_made_again_is_another(registry: Registry, bucket: Bucket, tmp_path: Path) -> None:
    """Its packages have other versions by then."""
    archive(tmp_path, bucket=bucket)
    before = registry.reference(GCC12.tag)
    layer = layers_of(registry, before)[0]
    archive(tmp_path, "another gcc-12", bucket)
    assert registry.reference(GCC12.tag) == before, "as long as it is here"
    shutil.rmtree(registry.paths.cache("layers"))
    with pytest.raises(NotFound):
        registry.blob(GCC12.name, layer)
    after = registry.reference(GCC12.tag)
    assert after != before
    with pytest.raises(NotFound):
        registry.manifest(GCC12.name, before.partition("@")[2])
    assert layers_of(registry, after)[0] != layer


@pytest.mark.parametrize("data", [b"<html>", b"", "shorter"])
def test_an_archive_that_is_damaged(registry: Registry, bucket: Bucket, tmp_path: Path, data: bytes | str) -> None:
    if isinstance(data, str):
        plain = zstandard.ZstdDecompressor().stream_reader(archive(tmp_path).read_bytes()).read()
        data = zstandard.ZstdCompressor().compress(plain[:1024])
    bucket.put(GCC12.key, data)
    with pytest.raises(StoreError, match=rf"{GCC12.key} is damaged.*\n.*delete it"):
        registry.reference(GCC12.tag)
    assert list(registry.paths.cache("layers").iterdir()) == []
    archive(tmp_path, bucket=bucket)
    assert registry.reference(GCC12.tag)


def test_what_no_image_of_today_is_made_of_is_forgotten(registry: Registry, bucket: Bucket, tmp_path: Path) -> None:
    registry.store.put_metas({"layer/images/toolchain-gcc-11-0.tar.zst": "{}", "layer/worker-0": "{}"})
    archive(tmp_path, bucket=bucket)
    registry.reference(GCC12.tag)
    assert registry.store.metas("layer/").keys() == {f"layer/{GCC12.key}", "layer/worker-amd64"}


def test_the_cache_is_kept_within_its_limit(registry: Registry, bucket: Bucket, tmp_path: Path) -> None:
    folder = registry.paths.cache("layers")
    for number in range(10):
        (folder / f"{number}.tar.zst").write_bytes(bytes(100))
    registry.caches.limit = 1
    archive(tmp_path, bucket=bucket)
    reference = registry.reference(GCC12.tag)
    assert len(list(folder.iterdir())) == 8
    for digest in layers_of(registry, reference):
        assert registry.blob(GCC12.name, digest)


@contextmanager
def listening(registry: Registry, how: str) -> Iterator[int]:
    """On a port of its own; below /one for one reader at once. how: an endpoint of Twisted's, without the port."""
    reactor_thread()
    root = Resource()
    root.putChild(b"v2", Images(registry))
    root.putChild(b"one", Images(registry, at_once=1))
    kind, _, more = how.partition(":")
    endpoint = serverFromString(reactor, f"{kind}:0:interface=127.0.0.1:{more}".rstrip(":"))
    port: IListeningPort = blockingCallFromThread(reactor, endpoint.listen, Site(root))
    try:
        yield port.getHost().port
    finally:
        blockingCallFromThread(reactor, port.stopListening)


@pytest.fixture
def server(registry: Registry, bucket: Bucket, tmp_path: Path) -> Iterator[int]:
    archive(tmp_path, bucket=bucket)
    with listening(registry, "tcp") as port:
        yield port


def ask(
    port: int, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, below: str = "v2"
) -> tuple[int, Mapping[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, f"/{below}/{path}", headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_a_node_pulls(server: int, registry: Registry) -> None:
    """As containerd does: what a digest is, the manifest, the configuration, the layers."""
    assert ask(server, "")[0] == 200
    name, _, digest = registry.reference(GCC12.tag).partition("@")
    looked, got = (ask(server, f"{name}/manifests/{digest}", method) for method in ("HEAD", "GET"))
    for status, headers, _ in (looked, got):
        assert (status, headers["Docker-Content-Digest"], headers["Content-Type"]) == (200, digest, MANIFEST)
        assert int(headers["Content-Length"]) == len(got[2])
    assert (looked[2], digest_of(got[2])) == (b"", digest)
    assert ask(server, f"{name}/manifests/{GCC12.digest}")[2] == got[2]
    manifest = json.loads(got[2])
    for each in (manifest["config"], *manifest["layers"]):
        status, headers, body = ask(server, f"{name}/blobs/{each['digest']}")
        assert (status, headers["Content-Type"], len(body)) == (200, each["mediaType"], each["size"])
        assert digest_of(body) == headers["Docker-Content-Digest"] == each["digest"]
        looked = ask(server, f"{name}/blobs/{each['digest']}", "HEAD")
        assert (looked[0], int(looked[1]["Content-Length"]), looked[2]) == (200, each["size"], b"")
        known = ask(server, f"{name}/blobs/{each['digest']}", headers={"If-None-Match": headers["ETag"]})
        assert (known[0], known[2]) == (304, b"")


def test_a_node_goes_on_where_it_was_cut_off(server: int, registry: Registry) -> None:
    name, _, _ = (reference := registry.reference(GCC12.tag)).partition("@")
    layer = f"{name}/blobs/{layers_of(registry, reference)[1]}"
    whole = ask(server, layer)[2]
    size = len(whole)
    for asked, start, end in [("0-0", 0, 1), ("7-", 7, size), ("7-10", 7, 11), (f"5-{size + 9}", 5, size)]:
        status, headers, body = ask(server, layer, headers={"Range": f"bytes={asked}"})
        assert (status, body) == (206, whole[start:end])
        assert headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert int(headers["Content-Length"]) == end - start
    status, headers, _ = ask(server, layer, headers={"Range": f"bytes={size}-"})
    assert (status, headers["Content-Range"]) == (416, f"bytes */{size}")
    for other in ("bytes=0-1,3-4", "lines=1-2", "bytes=x", "bytes=-5", f"bytes={'9' * 40}-"):
        status, _, body = ask(server, layer, headers={"Range": other})
        assert (status, body == whole) == (200, True)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("_catalog", "NAME_UNKNOWN"),
        ("kmodci/toolchain-gcc-12/tags/list", "NAME_UNKNOWN"),
        ("toolchain-gcc-12/manifests/latest", "NAME_UNKNOWN"),
        ("kmodci/toolchain-gcc-12/manifests/latest", "MANIFEST_UNKNOWN"),
        ("kmodci/toolchain-gcc-12/manifests/", "MANIFEST_UNKNOWN"),
        (f"kmodci/toolchain-gcc-12/manifests/sha256:{'0' * 64}", "MANIFEST_UNKNOWN"),
        (f"kmodci/toolchain-gcc-13/manifests/{GCC12.digest}", "MANIFEST_UNKNOWN"),
        (f"kmodci/%2e%2e/manifests/{GCC12.digest}", "MANIFEST_UNKNOWN"),
        (f"kmodci/toolchain-gcc-12/blobs/sha256:{'0' * 64}", "BLOB_UNKNOWN"),
        ("kmodci/toolchain-gcc-12/blobs/sha256:..%2f..%2fstore", "BLOB_UNKNOWN"),
        ("kmodci/toolchain-gcc-12/blobs/..%2f..%2f..%2fstore.sqlite", "BLOB_UNKNOWN"),
        ("kmodci/toolchain-gcc-12/blobs/%ff%00", "BLOB_UNKNOWN"),
        ("kmodci/toolchain-gcc-12/blobs/uploads/", "NAME_UNKNOWN"),
        (f"kmodci/{'x' * 3000}/blobs/x", "BLOB_UNKNOWN"),
    ],
)
def test_all_else_is_not_there(server: int, registry: Registry, path: str, code: str) -> None:
    registry.reference(GCC12.tag)
    for method in ("GET", "HEAD"):
        status, headers, body = ask(server, path, method)
        assert (status, headers["Content-Type"]) == (404, "application/json")
        assert method == "HEAD" or json.loads(body)["errors"][0]["code"] == code


def test_another_blob_of_the_disk_is_not_the_images(server: int, registry: Registry) -> None:
    reference = registry.reference(GCC12.tag)
    other = registry.paths.cache("layers") / f"{hashlib.sha256(b'x').hexdigest()}.tar.zst"
    other.write_bytes(b"x")
    assert ask(server, f"kmodci/toolchain-gcc-12/blobs/{digest_of(b'x')}")[0] == 404
    # nor is what belongs to another
    assert ask(server, f"kmodci/toolchain-gcc-12-arm64/blobs/{layers_of(registry, reference)[0]}")[0] == 404


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
def test_nothing_can_be_written(server: int, method: str) -> None:
    status, headers, body = ask(server, "kmodci/toolchain-gcc-12/blobs/uploads/", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert json.loads(body)["errors"][0]["code"] == "UNSUPPORTED"


def test_a_bucket_that_is_away(server: int, registry: Registry, s3: Any) -> None:
    registry.bucket = cast(Any, SimpleNamespace(get_file=lambda key, path: fail()))

    def fail() -> bool:
        raise StoreError("http://s3.test/bucket: could not read")

    status, _, body = ask(server, f"kmodci/toolchain-gcc-12/manifests/{GCC12.digest}")
    assert (status, json.loads(body)["errors"][0]["code"]) == (503, "UNAVAILABLE")
    assert b"s3.test" not in body


def test_no_more_than_so_many_at_once(server: int, registry: Registry, bucket: Bucket) -> None:
    """Another asks while what one asks for is still to be had."""
    path = f"kmodci/toolchain-gcc-12/manifests/{GCC12.digest}"
    meanwhile: list[tuple[int, Mapping[str, str], bytes]] = []

    def get_file(key: str, place: Path) -> bool:
        meanwhile.append(ask(server, path, below="one"))
        return bucket.get_file(key, place)

    registry.bucket = cast(Any, SimpleNamespace(get_file=get_file))
    assert ask(server, path, below="one")[0] == 200
    [(status, headers, body)] = meanwhile
    assert (status, headers["Retry-After"]) == (429, "2")
    assert json.loads(body)["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert ask(server, path, below="one")[0] == 200


@pytest.fixture
def copied(registry: Registry, bucket: Bucket, tmp_path: Path) -> Path:
    """The image as somebody else's program takes it from here, digests and all."""
    archive(tmp_path, bucket=bucket)
    authority = Authority(tmp_path / "authority", "somebody")
    cert, key = authority.server("registry", "127.0.0.1")
    trusted, copy = tmp_path / "trusted", tmp_path / "copy"
    trusted.mkdir()
    shutil.copyfile(authority.ca, trusted / "ca.crt")
    with listening(registry, f"ssl:privateKey={key}:certKey={cert}") as port:
        image = f"docker://127.0.0.1:{port}/{registry.reference(GCC12.tag)}"
        skopeo("copy", f"--src-cert-dir={trusted}", "--preserve-digests", image, f"oci:{copy}:x")
        told = json.loads(skopeo("inspect", f"--cert-dir={trusted}", "--no-tags", image))
    assert (told["Architecture"], told["Os"]) == ("amd64", "linux")
    assert told["Digest"] == image.partition("@")[2]
    return copy


def skopeo(*arguments: str) -> str:
    # it wants to know which signatures are asked for
    command = ["skopeo", "--insecure-policy", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Twisted 26.10's own `ssl:` endpoint does
@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
def test_a_registry_client_copies_it_and_the_layers_are_what_they_were(copied: Path) -> None:
    [index] = json.loads((copied / "index.json").read_text())["manifests"]
    blobs = copied / "blobs" / "sha256"
    manifest = json.loads((blobs / index["digest"].removeprefix("sha256:")).read_text())
    config = json.loads((blobs / manifest["config"]["digest"].removeprefix("sha256:")).read_text())
    files: dict[str, tarfile.TarInfo] = {}
    for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        packed_layer = blobs / layer["digest"].removeprefix("sha256:")
        done = subprocess.run(["zstd", "-dc", str(packed_layer)], capture_output=True, check=True)
        assert digest_of(done.stdout) == diff_id
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            files |= {info.name.removeprefix("./"): info for info in tar}
    assert {"etc/hello", "kmodci", "kmodci/bin/python3", "kmodci/worker.py", "kmodci/link"} <= files.keys()
    assert {(info.uid, info.gid, info.uname) for info in files.values()} == {(0, 0, "")}
    assert files["kmodci/bin/python3"].mode == 0o755 and files["kmodci/worker.py"].mode == 0o644
    assert (files["kmodci/bin/python3"].size, files["kmodci/link"].linkname) == (500_000, "worker.py")
