"""A build host by ssh: a server on loopback, in front of an engine that has a network of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kmodci.engine import Engine
from kmodci.errors import EngineError
from support.farm import until
from support.ownengine import OwnEngine
from support.ssh import SshServer

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(180)]


@pytest.fixture
def ssh(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    folder = tmp_path_factory.mktemp("ssh")
    # pytest's own is for its user only
    folder.parent.chmod(0o755)
    folder.parent.parent.chmod(0o755)
    with SshServer(folder) as made:
        monkeypatch.setenv("PATH", f"{made.path}:{os.environ['PATH']}")
        yield made


def test_an_engine_by_ssh(ssh: SshServer) -> None:
    with OwnEngine() as own:
        own.folder.chmod(0o755)
        at = own.url.removeprefix("unix://")
        Path(at).chmod(0o666)
        engine = Engine(ssh.url(at), farm="ssh-test", same_machine=False)
        assert engine.look().cores
        assert engine.tags() == frozenset()
        before = engine.reached_at
        assert before.startswith("unix://")
        # what has ended is begun again
        ssh.cut()
        until(lambda: engine.reached_at != before)
        assert engine.look().cores
        ssh.cut()


def test_another_host_key_is_refused(ssh: SshServer) -> None:
    ssh.trust(ssh.new_key("another"))
    with pytest.raises(EngineError, match=r"ssh: .*(REMOTE HOST IDENTIFICATION HAS CHANGED|verification failed)"):
        Engine(ssh.url("/nowhere"), farm="ssh-test").look()


def test_a_host_key_that_nobody_knows_is_refused(ssh: SshServer) -> None:
    (ssh.folder / "known_hosts").unlink()
    with pytest.raises(EngineError, match="verification failed"):
        Engine(ssh.url("/nowhere"), farm="ssh-test").look()
