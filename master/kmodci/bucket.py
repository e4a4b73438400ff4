"""The S3 bucket: objects by key. Speaks to every S3 server alike, so it uses little of S3.

No conditional writes, no user metadata, no versions: servers differ in them, and one writer needs none.
"""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import quote

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.response import StreamingBody

from .errors import StoreError
from .objects import Object
from .tarzst import replacing

_MIB = 1 << 20
# one request for most files; a part may not be smaller than 5 MiB (S3's limit)
_TRANSFER = TransferConfig(multipart_threshold=64 * _MIB, multipart_chunksize=16 * _MIB, max_concurrency=4)
_TYPES = {".json": "application/json", ".zst": "application/zstd", ".xz": "application/x-xz", ".gz": "application/gzip"}
# seconds without a byte from the server
_SILENCE = 15
_SESSION_LOCK = threading.Lock()
_MISSING = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchBucket"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What an S3 server asks for."""

    access_key: str
    secret: str = field(repr=False)


@dataclass(slots=True, kw_only=True)
class Opened:
    """An object that is being read. Its methods raise StoreError; one at a time, from any thread."""

    key: str
    size: int
    """bytes"""
    type: str
    """as a Content-Type"""
    etag: str
    """names the content, in quotes"""
    _body: StreamingBody | None

    def read(self, size: int) -> bytes:
        """The next bytes; empty at the end, and of one that was only looked at."""
        try:
            data: bytes = self._body.read(size) if self._body else b""
        except (BotoCoreError, OSError) as error:
            raise StoreError(f"{self.key}: broke off: {error}") from error
        return data

    def close(self) -> None:
        if self._body:
            self._body.close()


class Bucket:
    """One bucket of an S3 server. Every method raises StoreError, and may be called from many threads."""

    def __init__(self, endpoint: str, bucket: str, credentials: Credentials, *, region: str = "us-east-1") -> None:
        self.endpoint = endpoint.rstrip("/")
        self.bucket = bucket
        self._region = region
        self._client = _client(self.endpoint, credentials, region)

    def ensure(self) -> None:
        """Makes the bucket if the server does not have it."""
        with self._doing("open"):
            try:
                self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _MISSING:
                    raise
                # the one region of AWS that must not be named (CreateBucket, LocationConstraint)
                place = {} if self._region == "us-east-1" else {"LocationConstraint": self._region}
                self._client.create_bucket(
                    Bucket=self.bucket, **({"CreateBucketConfiguration": place} if place else {})
                )

    def put(self, key: str, data: bytes) -> None:
        """Writes an object, or writes it again."""
        with self._doing(f"write {key}"):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=data, ContentType=_type(key))

    def put_json(self, key: str, value: object) -> None:
        """Writes what `json.dumps` takes; equal values give equal bytes."""
        self.put(key, (json.dumps(value, sort_keys=True, indent=1) + "\n").encode())

    def put_file(self, key: str, path: Path) -> None:
        """Writes a file of any size."""
        with self._doing(f"write {key}"):
            self._client.upload_file(
                str(path), self.bucket, key, Config=_TRANSFER, ExtraArgs={"ContentType": _type(key)}
            )

    def get(self, key: str) -> bytes | None:
        """An object's content; None if there is no such object."""
        with self._doing(f"read {key}"):
            try:
                data: bytes = self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            except ClientError as error:
                _raise_unless_missing(error)
                return None
            return data

    def open(self, key: str, *, only_look: bool = False) -> Opened | None:
        """An object of any size, to be read bit by bit and closed; None if there is no such object."""
        with self._doing(f"read {key}"):
            ask = self._client.head_object if only_look else self._client.get_object
            try:
                answer = ask(Bucket=self.bucket, Key=key)
            except ClientError as error:
                _raise_unless_missing(error)
                return None
        return Opened(
            key=key,
            size=answer["ContentLength"],
            type=_type(key),
            etag=answer["ETag"],
            _body=answer.get("Body"),
        )

    def get_file(self, key: str, path: Path) -> bool:
        """An object into a file, all of it or nothing; False if there is no such object."""
        with self._doing(f"read {key}"):
            try:
                body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
            except ClientError as error:
                _raise_unless_missing(error)
                return False
            with replacing(path) as file:
                for chunk in body.iter_chunks(_MIB):
                    file.write(chunk)
        return True

    def size(self, key: str) -> int | None:
        """An object's size in bytes; None if there is no such object."""
        with self._doing(f"look at {key}"):
            try:
                size: int = self._client.head_object(Bucket=self.bucket, Key=key)["ContentLength"]
            except ClientError as error:
                _raise_unless_missing(error)
                return None
            return size

    def list(self, prefix: str = "") -> Iterator[Object]:
        """All objects whose key starts so, in the order of keys."""
        with self._doing(f"list {prefix}*"):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for found in page.get("Contents", ()):
                    yield Object(key=found["Key"], size=found["Size"], modified=found["LastModified"].timestamp())

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes objects; one that is not there is no error."""
        for key in keys:
            with self._doing(f"delete {key}"):
                self._client.delete_object(Bucket=self.bucket, Key=key)

    def url(self, key: str) -> str:
        """Where a reader finds an object. `+` is escaped: some S3 servers take it for a space."""
        return f"{self.endpoint}/{self.bucket}/{quote(key, safe='/~')}"

    def presigned(self, key: str, seconds: int) -> str:
        """Where anybody may read an object for so long, without credentials. Does not look whether it is there."""
        with self._doing(f"sign {key}"):
            url: str = self._client.generate_presigned_url(
                "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=seconds
            )
        return url

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError, Boto3Error, OSError) as error:
            raise StoreError(
                f"{self.endpoint}/{self.bucket}: could not {what}: {error}",
                hint="is the S3 server running, and are endpoint, bucket and credentials right?",
            ) from error


@cache
def _session() -> boto3.session.Session:
    """Reads S3's description, which takes 20 times as long as to make a client of it."""
    return boto3.session.Session()


def _client(endpoint: str, credentials: Credentials, region: str) -> BaseClient:
    # clients may be used by many threads, a session may not (boto3's guide, "Multithreading or multiprocessing")
    with _SESSION_LOCK:
        return _session().client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                # rclone, Ceph and others stumble over the checksums that boto3 adds by itself since 1.36
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                # a passing fault is got over here, within a minute even if the server takes requests and never
                # answers; who can wait longer waits outside, and says so
                retries={"mode": "standard", "total_max_attempts": 3},
                connect_timeout=5,
                read_timeout=_SILENCE,
                max_pool_connections=16,
            ),
        )


def _type(key: str) -> str:
    return _TYPES.get(Path(key).suffix, "application/octet-stream")


def _raise_unless_missing(error: ClientError) -> None:
    if error.response["Error"]["Code"] not in _MISSING:
        raise error
