"""An image as registries have it: a manifest that names a configuration and layers, each by its digest. Pure.

https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md and config.md beside it. The same layers give the
same bytes, and so the same digests: nothing tells a time.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# what Docker gives an image that says none
_ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A `.tar.zst` whose files lie over those of the layers before."""

    digest: str
    """of the file; `sha256:` and 64 hex digits, as all digests here"""
    size: int
    """bytes, of the file"""
    diff_id: str
    """the digest of the tar in it"""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Layer | None":
        """None for what is none of `to_json`'s."""
        try:
            told = json.loads(text)
            made = cls(digest=str(told["digest"]), size=int(told["size"]), diff_id=str(told["diff_id"]))
        except (ValueError, TypeError, KeyError):
            return None
        return made if is_digest(made.digest) and is_digest(made.diff_id) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What is served of one, besides its layers."""

    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> str:
        """Names the image, with everything in it."""
        return digest_of(self.manifest)


def image(arch: str, layers: Sequence[Layer]) -> Image:
    """arch: what it runs on, as Debian says and Go does: `amd64`, `arm64`. layers: the lowest first."""
    config = _canonical(
        {
            "architecture": arch,
            "os": "linux",
            "config": {"Env": list(_ENVIRONMENT)},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
    )
    manifest = _canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": layer.digest, "size": layer.size} for layer in layers],
        }
    )
    return Image(manifest=manifest, config=config, layers=tuple(layers))


def digest_of(content: bytes) -> str:
    """`sha256:...`"""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def is_digest(text: str) -> bool:
    """Whether it is one of the only kind that is used here."""
    return _DIGEST.fullmatch(text) is not None


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
