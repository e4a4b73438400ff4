"""What a hostile Makefile would try, all of it in one build: reading, reaching, writing, escaping, staying.

The test reads what came of it in the build's log: `found {"what": ..., "came": ...}` and `found .`. `came` is "" for
what was refused. Arguments: the farm's state folder on its host; its web server's port.
"""

import ctypes
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

STATE, PORT = Path(sys.argv[1]), int(sys.argv[2])
LIBC = ctypes.CDLL(None, use_errno=True)
CANARY = "kmodci-canary"
# where something might be left for another build
SHARED = ("/build", "/tmp", "/usr/src", "/usr/lib/modules", "/dev/shm", "/dev/mqueue", "/run", "/var/tmp", "/in")
NOBODY = 65534


def tell(what: str, came: object) -> None:
    text = json.dumps({"what": what, "came": came})
    # a line of a log has 4,096 characters
    pieces = [text[start : start + 3000] for start in range(0, len(text), 3000)]
    print("\n".join(f"found {piece}" for piece in [*pieces, "."]), flush=True)


def attempt(what: str, deed: Callable[[], object]) -> None:
    """What was got by it, or "" where it was refused."""
    try:
        tell(what, str(deed())[:300] or "nothing")
    except (OSError, ValueError):
        tell(what, "")


def call(number: int, *arguments: object) -> str:
    """A system call (x86-64), by its number."""
    LIBC.syscall.restype = ctypes.c_long
    result = LIBC.syscall(ctypes.c_long(number), *arguments)
    if result < 0 and ctypes.get_errno() == errno.EFAULT:
        return "allowed, but for where that was"
    if result < 0:
        raise OSError(ctypes.get_errno(), errno.errorcode.get(ctypes.get_errno(), "?"))
    return f"returned {result}"


def left_behind() -> None:
    """What an earlier build has planted, here or in memory that all containers might share."""
    found = []
    for place in SHARED:
        found += [str(path) for path in Path(place).rglob(f"{CANARY}*")]
    found += [line for line in Path("/proc/sysvipc/shm").read_text().splitlines() if " 4660 " in f" {line} "]
    found += [path.read_text() for path in Path("/proc").glob("[0-9]*/comm") if CANARY[:15] in path.read_text()]
    tell("left behind", found)


def reading() -> None:
    places = [
        *(STATE / name for name in ("", "password", "users.json", "tokens.json", "sockets", "inputs", "s3", "bucket")),
        *(STATE / "master" / name for name in ("farm-id", "state.sqlite", "twistd.log")),
        *map(
            Path,
            ("/var/run/docker.sock", "/run/docker.sock", "/root", "/etc/shadow", "/dev/mem", "/dev/kmsg", "/dev/kvm"),
        ),
        *(Path("/proc/1") / name for name in ("environ", "mem", "maps", "root", "cwd", "fd", "fd/0", "io", "syscall")),
        *map(Path, ("/proc/kcore", "/proc/kmsg", "/proc/timer_list", "/sys/firmware/dmi", "/proc/keys")),
    ]
    for path in places:
        attempt(f"read {path}", lambda path=path: list(path.iterdir()) if path.is_dir() else _opened(path, "rb"))
    tell("environment", dict(os.environ))
    said = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            said.append(path.read_text(errors="replace"))
        except OSError:
            continue
    tell("environments", said)
    tell("mounts", Path("/proc/self/mountinfo").read_text())
    tell("status", Path("/proc/self/status").read_text())
    tell("processes", [path.read_text() for path in Path("/proc").glob("[0-9]*/comm")])
    tell("host", socket.gethostname())


def _opened(path: Path, mode: str) -> bytes:
    with path.open(mode) as file:
        content = file.read(64)
    if not content and mode == "rb":
        # what the engine hides is an empty file
        raise OSError(errno.ENODATA, str(path))
    return content


def _written(path: Path) -> int:
    with path.open("r+b", buffering=0) as file:
        return file.write(b"1")


def reaching() -> None:
    here = ["127.0.0.1", "::1", "172.17.0.1", "192.168.0.1", "10.0.0.1"]
    web = [(address, port) for address in here for port in (PORT, PORT + 1, 22, 80, 443, 2375, 2376, 5432, 8010)]
    clouds = [("169.254.169.254", 80), ("fd00:ec2::254", 80), ("100.100.100.200", 80), ("192.0.0.192", 80)]
    world = [("192.0.2.1", 443), ("8.8.8.8", 53), ("2001:4860:4860::8888", 53)]
    scan = [(f"172.17.0.{number}", port) for number in range(2, 32) for port in (22, 80)]
    for address, port in [*web, *clouds, *world, *scan]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        attempt(f"connect to {address} {port}", lambda a=address, p=port, f=family: _connect(f, (a, p)))
    attempt("resolve a name", lambda: socket.getaddrinfo("example.org", 80))
    attempt("open a raw socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3))
    attempt("ping", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
    attempt("reach the host of a virtual machine", lambda: _connect(socket.AF_VSOCK, (2, 1024)))
    sockets = [path for path in _all_files() if path.is_socket()]
    tell("sockets", [str(path) for path in sockets])
    attempt("connect to the master's socket", lambda: _connect(socket.AF_UNIX, "/run/kmodci/pb.sock"))
    names = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    tell("abstract sockets", [name for name in names if name.startswith("@")])


def _connect(family: int, address: object) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as made:
        made.settimeout(2)
        made.connect(address)
        return "connected"


def _all_files() -> list[Path]:
    found = []
    for top, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if (top, name) not in (("/", "proc"), ("/", "sys"))]
        found += [Path(top, name) for name in files]
    return found


def writing() -> None:
    headers = next(Path("/usr/src").glob("linux-headers-*-amd64"))
    folders = [
        "/",
        "/in",
        "/kmodci",
        "/run/kmodci",
        "/run",
        "/etc",
        "/usr/bin",
        "/usr/lib",
        "/var/tmp",
        "/home",
        headers,
    ]
    for folder in folders:
        attempt(
            f"write into {'the headers' if folder == headers else folder}",
            lambda f=folder: (Path(f) / "x").write_text("x"),
        )
    compiler = os.path.realpath("/usr/bin/gcc-12")
    for file in (compiler, "/kmodci/worker.py", "/kmodci/build-module", "/in/source.tar.zst", headers / "Makefile"):
        called = "the headers' Makefile" if str(file).endswith("Makefile") else file
        attempt(f"change {called}", lambda f=file: _opened(Path(f), "r+b"))
        attempt(f"remove {called}", lambda f=file: Path(f).unlink())
        attempt(f"permit {called}", lambda f=file: Path(f).chmod(0o777))
    for file in (
        "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches",
        "/sys/kernel/uevent_helper", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent",
        "/proc/1/oom_score_adj", "/proc/1/mem", "/dev/mem", "/dev/kmsg",
    ):  # fmt: skip
        attempt(f"write to {file}", lambda f=file: _written(Path(f)))


def escaping() -> None:
    for what, number, *arguments in (
        ("mount", 165, b"none", b"/tmp", b"tmpfs", 0, None),
        ("mount anew, writable", 165, None, b"/in", None, 0x20 | 0x1000, None),
        ("umount", 166, b"/in", 2),
        ("pivot_root", 155, b"/build", b"/build"),
        ("chroot", 161, b"/build"),
        ("unshare, of users", 272, 0x10000000),
        ("unshare, of mounts", 272, 0x00020000),
        ("setns", 308, os.open("/proc/self/ns/net", os.O_RDONLY), 0),
        ("become root", 105, 0),
        ("give a file to root", 92, b"/build/given", 0, 0),
        ("ptrace of the worker", 101, 16, 1, 0, 0),
        ("read the worker's memory", 310, 1, _piece(LIBC.getpid), 1, _piece(LIBC.getpid), 1, 0),
        ("load a module", 175, b"x", 1, b""),
        ("load a module of a file", 313, 0, b"", 0),
        ("kexec", 246, 0, 0, None, 0),
        ("reboot", 169, 0xFEE1DEAD, 672274793, 0x01234567, None),
        ("bpf", 321, 0, b"\0" * 128, 128),
        ("perf_event_open", 298, b"\0" * 128, 0, -1, -1, 0),
        ("keyctl", 250, 0, -3, 0, 0, 0),
        ("add_key", 248, b"user", b"x", b"x", 1, -3),
        ("a device", 133, b"/tmp/disk", 0o60644, os.makedev(8, 0)),
        ("open_by_handle_at", 304, -100, b"\0" * 128, 0),
        ("the log of the kernel", 103, 3, b"\0" * 1024, 1024),
        ("set the clock", 164, b"\0" * 16, None),
        ("set the name of the host", 170, b"x", 1),
        ("swap", 167, b"/build/x", 0),
        ("userfaultfd", 323, 0),
        ("ports of the processor", 172, 3),
    ):  # fmt: skip
        Path("/build/given").touch()
        attempt(f"syscall: {what}", lambda n=number, a=arguments: call(n, *a))
    raised = [str(path) for path in _all_files() if not path.is_symlink() and path.stat().st_mode & 0o6000]
    for path in raised:
        attempt(f"rise by {path}", lambda p=path: _raised(p))
    attempt("kill what is not its own", lambda: os.kill(1, 9) or _gone(1))


def _piece(at: object) -> object:
    """A `struct iovec` of eight bytes there."""
    return (ctypes.c_void_p * 2)(ctypes.cast(at, ctypes.c_void_p), 8)


def _raised(path: str) -> str:
    """Whether a program with the setuid bit is somebody else when it runs."""
    parent, child = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open("/dev/null", os.O_RDWR), 0)
        os.dup2(child, 1)
        os.dup2(child, 2)
        os.execv(path, [path, "--help"])
    os.close(child)
    time.sleep(0.01)
    try:
        owner = Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        owner = NOBODY
    os.waitpid(pid, 0)
    os.close(parent)
    if owner in (NOBODY, os.getuid()):
        raise OSError(errno.EPERM, path)
    return f"runs as {owner}"


def _gone(pid: int) -> str:
    if Path(f"/proc/{pid}").exists():
        raise OSError(errno.EPERM, "it lives")
    return "killed"


def staying() -> None:
    """Leaves something wherever it can, and a process that nobody waits for."""
    for place in SHARED:
        try:
            Path(place, CANARY).write_text("x")
        except OSError:
            continue
    LIBC.shmget(0x1234, 4096, 0o1666)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for descriptor in range(3):
                os.dup2(os.open("/dev/null", os.O_RDWR), descriptor)
            Path("/proc/self/comm").write_text(CANARY)
            time.sleep(3600)
        os._exit(0)
    os.wait()


if __name__ == "__main__":
    left_behind()
    reading()
    reaching()
    writing()
    escaping()
    staying()
