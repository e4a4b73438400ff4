"""What is told of an engine that does not do as asked: one line that says what is the matter."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from kmodci.engine import Engine
from kmodci.errors import EngineError


@pytest.fixture
def silent() -> Iterator[str]:
    """Takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield f"tcp://127.0.0.1:{made.getsockname()[1]}"


def told(engine: str) -> str:
    with pytest.raises(EngineError) as caught:
        Engine(engine, farm="x").look(timeout=1)
    return caught.value.brief


def test_what_is_the_matter(silent: str, tmp_path: Path) -> None:
    nobody = f"unix://{tmp_path}/docker.sock"
    assert told(nobody) == f"Docker engine {nobody}: ask how it is: No such file or directory"
    assert told("tcp://127.0.0.1:1") == "Docker engine tcp://127.0.0.1:1: ask how it is: Connection refused"
    assert told(silent) == f"Docker engine {silent}: ask how it is: no answer in time"
