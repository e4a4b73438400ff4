import subprocess
from pathlib import Path

import pytest
from kmodci.errors import EngineError
from kmodci.tunnel import ssh_command, tunnel


def test_what_ssh_is_asked_for() -> None:
    words = ssh_command("ssh://builder@far.example.com:2222/run/user/1000/docker.sock", Path("/t/s"))
    assert words[:2] == ["ssh", "-nNT"]
    forward = ["-L", "/t/s:/run/user/1000/docker.sock"]
    assert words[-8:] == [*forward, "-l", "builder", "-p", "2222", "--", "far.example.com"]
    assert {"-oStrictHostKeyChecking=yes", "-oBatchMode=yes", "-oExitOnForwardFailure=yes"} <= set(words)


def test_dockers_own_socket_and_the_users_own_settings_where_nothing_else_is_said() -> None:
    words = ssh_command("ssh://far", Path("/t/s"))
    assert words[-4:] == ["-L", "/t/s:/var/run/docker.sock", "--", "far"]
    assert not {"-l", "-p"} & set(words)


def test_a_tunnel_that_ssh_does_not_dig_says_what_ssh_said() -> None:
    # a port that nothing listens on
    with pytest.raises(EngineError, match=r"ssh://nobody@127\.0\.0\.1:1: ssh: .*(refused|closed)") as caught:
        tunnel("ssh://nobody@127.0.0.1:1")
    assert "without a question" in caught.value.hint
    assert subprocess.run(["pgrep", "-f", "nobody.*kmodci-ssh"], capture_output=True, check=False).stdout == b""
