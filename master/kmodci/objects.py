"""What is asked of a bucket, so that what decides about its content needs no S3."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """An object in the bucket, as a listing tells."""

    key: str
    size: int
    """bytes"""
    modified: float
    """when it was last written, by the server's clock; seconds since the epoch"""


class Objects(Protocol):
    """A bucket; `bucket.Bucket` is one. Its methods raise StoreError."""

    def put(self, key: str, data: bytes) -> None: ...
    def get(self, key: str) -> bytes | None: ...
    def list(self, prefix: str = "") -> Iterator[Object]: ...
    def delete(self, keys: Iterable[str]) -> None: ...
