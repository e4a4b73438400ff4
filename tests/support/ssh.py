"""An ssh server of a test's own, on loopback, that forwards sockets and nothing else."""

import os
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from support.farm import until

# neither package is installed: that would start a server for all
_PACKAGES = ("openssh-server", "libwrap0")
# who is not root needs no user `sshd`, and is let in as himself
USER, _UID = "nobody", 65534


class SshServer:
    """`with SshServer(folder) as ssh:`; `ssh.path` has an `ssh` that knows its key, for PATH.

    Needs root, and Debian's mirror. The folder and those above it must let anybody through.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "bin"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def url(self, socket_path: str) -> str:
        return f"ssh://{USER}@127.0.0.1:{self.port}{socket_path}"

    def trust(self, key: Path) -> None:
        """Makes the client believe in a host key."""
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key.with_suffix('.pub').read_text()}")

    def new_key(self, name: str) -> Path:
        path = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        return path

    def __enter__(self) -> Self:
        at, root = self.folder, self.folder / "root"
        subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *_PACKAGES], cwd=at, check=True)
        for package in at.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
        self.host_key, mine = self.new_key("host"), self.new_key("mine")
        os.chown(self.host_key, _UID, _UID)
        self.trust(self.host_key)
        (at / "authorized").write_bytes(mine.with_suffix(".pub").read_bytes())
        # to a server that cannot read it, an account is locked
        (at / "shadow").write_text(f"{USER}:NP:20000:0:99999:7:::\n")
        self.path.mkdir()
        wrapper = self.path / "ssh"
        options = f"-F none -i {mine} -o UserKnownHostsFile={at}/known_hosts -o GlobalKnownHostsFile=none"
        wrapper.write_text(f'#!/bin/sh\nexec /usr/bin/ssh {options} "$@"\n')
        wrapper.chmod(0o755)
        for each in (at, root, self.path):
            each.chmod(0o755)
        libraries = root / "usr/lib/x86_64-linux-gnu"
        self._log = (at / "log").open("wb")
        self._process = subprocess.Popen(
            [
                "unshare", "--mount", "sh", "-c", f'mount --bind {at}/shadow /etc/shadow && exec "$0" "$@"',
                "setpriv", "--reuid", str(_UID), "--regid", str(_UID), "--clear-groups",
                "env", f"LD_LIBRARY_PATH={libraries}",
                str(root / "usr/sbin/sshd"), "-D", "-e", "-f", "/dev/null", "-h", str(self.host_key),
                *(f"-o{option}" for option in (
                    f"Port={self.port}", "ListenAddress=127.0.0.1", f"AuthorizedKeysFile={at}/authorized",
                    "StrictModes=no", "PidFile=none", "PasswordAuthentication=no",
                )),
            ],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        until(self._listens, told=lambda: (at / "log").read_text())
        return self

    def cut(self) -> None:
        """Ends the connections that there are."""
        for pid in _below(self._process.pid):
            os.kill(pid, signal.SIGKILL)

    def _listens(self) -> bool:
        assert self._process.poll() is None, (self.folder / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()


def _below(parent: int) -> list[int]:
    """The processes that a process has begun, and theirs."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [pid for child in map(int, children) for pid in (*_below(child), child)]
