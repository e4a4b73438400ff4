"""A real S3 server for a test: the embedded one, on a free port."""

import itertools
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kmodci.bucket import Bucket
from kmodci.embedded import EmbeddedS3

_numbers = itertools.count(1)


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(state: Path) -> Iterator[EmbeddedS3]:
    """The server over a folder."""
    server = EmbeddedS3(state, port=free_port())
    with server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedS3]:
    """One server for all tests; import it, with `bucket`, into the module that needs it."""
    with serving(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3: EmbeddedS3) -> Bucket:
    """An empty bucket of its own for each test."""
    made = s3.bucket(f"test-{next(_numbers)}")
    made.ensure()
    return made
