"""How a pod's worker looks whether it is cut off."""

import importlib.util
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from kmodci.paths import checkout


@pytest.fixture(scope="module")
def worker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("worker_of_pods", checkout() / "workers" / "worker.py")
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_what_takes_a_connection_is_reached(worker: ModuleType) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = server.getsockname()
        assert worker.reached([("127.0.0.2", 1), place], 5) == f"127.0.0.1:{place[1]}"


def test_what_refuses_or_cannot_be_is_not(worker: ModuleType) -> None:
    assert worker.reached([("127.0.0.1", 1), ("fe80::1%nothing", 53), ("no address", 53), ("", 53)], 5) == ""
    assert worker.reached([], 5) == ""


def test_what_does_not_answer_is_waited_for_no_longer_than_is_said(worker: ModuleType) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        # whoever comes now is left waiting
        first, second = socket.create_connection(full.getsockname()), socket.socket()
        second.setblocking(False)
        second.connect_ex(full.getsockname())
        try:
            assert worker.reached([full.getsockname()], 0.2) == ""
        finally:
            first.close()
            second.close()


def test_it_looks_at_the_clusters_api_and_the_nodes_name_servers(
    worker: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    monkeypatch.setattr(
        Path, "read_text", lambda *_, **__: "search x\nnameserver 10.0.0.2\nnameserver\nnameserver ::1\n"
    )
    assert worker.doors() == [("169.254.169.254", 80), ("10.96.0.1", 6443), ("10.0.0.2", 53), ("::1", 53)]


def test_it_ends_where_it_reaches_something_and_says_what() -> None:
    """Before it asks for its password, and without anything of the bundle."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, str(checkout() / "workers" / "worker.py")],
            env={"KMODCI_POD": "1", "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert ended.returncode == 4
    assert ended.stderr.startswith("this pod reaches ")
