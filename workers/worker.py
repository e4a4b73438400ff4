"""What a build container starts: a Buildbot worker that any image can run, and that keeps its secret.

Needs in the environment:
  KMODCI_SOCKET   path of the master's unix socket (PB protocol); `-` where this process's standard input and output are
                  the connection, and what it has to say goes to standard error
  WORKERNAME      as the master knows this worker
  WORKERPASS      good for this container only
  KMODCI_POD      optional: set where this is a pod, whose network is for its cluster to cut off
and /build, writable. Takes all of them out of the environment. Ends by itself when the master has not
answered for about two minutes; exit code 1 when it cannot start, 4 where a pod reaches the network.

Start it as the container's first process (Docker's `init` off): what Docker puts before it would keep
the password in its own environment, where a build can read it in /proc/1/environ.
"""

import ctypes
import errno
import inspect
import os
import select
import socket
import stat
import sys
import time
import types
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet import defer, protocol

PR_SET_DUMPABLE = 4  # include/uapi/linux/prctl.h
KEEPALIVE = 60
LONGEST_WAIT = 5
MOST_RETRIES = 10
REACHES_NETWORK = 4
# seconds; whoever is cut off waits for all of them, because what is dropped is not answered
LOOK = 1.0


def hide_from_builds() -> None:
    """Makes this process's memory and /proc entries root's, so that a build, being the same user, cannot read them.

    See prctl(2), PR_SET_DUMPABLE, and proc(5), /proc/pid/.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


def doors() -> list[tuple[str, int]]:
    """What answers a pod that is not cut off: its cluster's API, its name servers, a cloud's metadata."""
    found = [("169.254.169.254", 80)]
    if address := os.environ.get("KUBERNETES_SERVICE_HOST"):
        found.append((address, int(os.environ.get("KUBERNETES_SERVICE_PORT", "443"))))
    try:
        lines = Path("/etc/resolv.conf").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.split()[1:2] for line in lines if line.startswith("nameserver "))
    return found + [(address, 53) for each in named for address in each]


def reached(places: list[tuple[str, int]], seconds: float) -> str:
    """The first of these addresses and ports that takes a TCP connection within that time; empty if none does.

    A refusal counts as none: a cluster's network may be what refuses.
    """
    poll, waiting = select.poll(), {}
    for host, port in places:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            tried = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            continue  # a kernel without IPv6
        try:
            begun = tried.connect_ex((host, port)) in (0, errno.EINPROGRESS)
        except OSError:
            begun = False  # no address that can be one here
        if begun:
            poll.register(tried, select.POLLOUT)
            waiting[tried.fileno()] = tried, f"{host}:{port}"
        else:
            tried.close()
    deadline, found = time.monotonic() + seconds, ""
    while waiting and not found and (left := deadline - time.monotonic()) > 0:
        for number, _ in poll.poll(left * 1000):
            poll.unregister(number)
            tried, name = waiting.pop(number)
            with tried:
                found = found or (name if tried.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 else "")
    for tried, _ in waiting.values():
        tried.close()
    return found


def leave_unless_cut_off() -> None:
    """In a pod: nobody else can tell whether its cluster does what its policies say. No module's code is here yet."""
    if os.environ.pop("KMODCI_POD", "") and (found := reached(doors(), LOOK)):
        print(f"this pod reaches {found}, and a build must reach nothing", file=sys.stderr, flush=True)
        sys.exit(REACHES_NETWORK)
    for name in [name for name in os.environ if name.startswith("KUBERNETES_")]:
        del os.environ[name]


def use_bundle(root: Path) -> None:
    """Lets imports come from the bundle only, and nothing be written beside them."""
    sys.path.append(str(root / "site"))
    sys.dont_write_bytecode = True


class Absent(types.ModuleType):
    """Stands for a module that is imported and not used: whatever is asked of it is an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (), {})
        setattr(self, name, made)
        return made


def leave_out_unused() -> None:
    """Some of what Twisted and buildbot_worker import is for what this worker does not do.

    Buildbot's other protocol; web cookies (twisted.python.compat); asyncio (twisted.internet.defer, for
    `Deferred.asFuture`); a tunnel through an HTTP proxy. Together 40 ms of the 200 that a start takes.
    """
    for name in ("buildbot_worker.msgpack", "http.cookiejar", "asyncio", "buildbot_worker.tunnel"):
        sys.modules[name] = Absent(name)
    # the one thing of asyncio that Deferreds call
    sys.modules["asyncio"].iscoroutine = inspect.iscoroutine


class Pipes:
    """The connection to the master through standard input and output: there is one, and this process ends with it."""

    used = False

    def connect(self, factory: "protocol.Factory") -> "defer.Deferred[protocol.Protocol]":
        """As Twisted's endpoints do."""
        from twisted.internet import defer, error, reactor, stdio

        if self.used:
            reactor.callLater(0, reactor.stop)
            return defer.fail(error.ConnectionDone())
        self.used = True
        made = factory.buildProtocol(None)
        stdio.StandardIO(made)
        return defer.succeed(made)


def speak_through_pipes() -> None:
    """buildbot_worker knows only what a string of Twisted's names, and for this there is none."""
    from buildbot_worker import pb

    pb.clientFromString = lambda reactor, text: Pipes()


def open_plain(path: str, mode: str) -> "IO[bytes]":
    """As `open`. What a build made may be anything, and a FIFO would be waited for without end.

    Raises OSError for what is read and no plain file. What is written is a build's inputs, before it begins.
    """
    if "w" in mode:
        return Path(path).open(mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no plain file")
    return os.fdopen(descriptor, mode)


def transfer_plain_files() -> None:
    """buildbot_worker opens whatever has the name."""
    from buildbot_worker.commands import transfer

    transfer.open = open_plain


def run(door: str, name: str, password: str, basedir: Path) -> None:
    """Serves the master until it says to stop, or cannot be reached."""
    from twisted.python import log

    log.startLogging(sys.stderr if door == "-" else sys.stdout, setStdout=False)
    if door == "-":
        speak_through_pipes()
    transfer_plain_files()
    from buildbot_worker.pb import Worker
    from twisted.internet import reactor

    worker = Worker(
        None,
        None,
        name,
        password,
        str(basedir),
        KEEPALIVE,
        connection_string=f"unix:{door}",
        maxdelay=LONGEST_WAIT,
        maxRetries=MOST_RETRIES,
    )
    worker.startService()
    reactor.addSystemEventTrigger("before", "shutdown", worker.stopService)
    reactor.run()


def main() -> None:
    hide_from_builds()
    leave_unless_cut_off()
    door, name, password = (os.environ.pop(key) for key in ("KMODCI_SOCKET", "WORKERNAME", "WORKERPASS"))
    use_bundle(Path(__file__).parent)
    leave_out_unused()
    basedir = Path("/build")
    os.chdir(basedir)
    run(door, name, password, basedir)


if __name__ == "__main__":
    main()
