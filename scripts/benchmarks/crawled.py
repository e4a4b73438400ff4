"""Crawls with kernel-crawler (https://github.com/falcosecurity/kernel-crawler) and tells what that cost, as JSON.

A program for a Python that has it: `python crawled.py debian URL ARCH` crawls the mirrors URL/debian/ and
URL/debian-security/ for x86_64 or aarch64, `python crawled.py rpm URL` one rpm repository. Of its code, only where its
mirrors are is changed. Needs nothing of this project.
"""

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path


def main(kind: str, url: str, arch: str = "x86_64") -> None:
    """Prints one object."""
    requests = importlib.import_module("requests")
    get, traffic = requests.get, {"requests": 0, "received": 0}

    def counting(*args: object, **kwargs: object) -> object:
        traffic["requests"] += 1
        answer = get(*args, **kwargs)
        traffic["received"] += len(answer.content)
        return answer

    setattr(requests, "get", counting)  # noqa: B010 a module says nothing of its attributes
    crawl = _debian(url, arch) if kind == "debian" else _rpm(url)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    kernels = crawl()
    after = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text().splitlines()
    print(
        json.dumps(
            {
                "wall": time.monotonic() - began,
                "user": after.ru_utime - before.ru_utime,
                "system": after.ru_stime - before.ru_stime,
                "memory": next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:")),
                "kernels": kernels,
                **traffic,
            }
        )
    )


def _debian(url: str, arch: str) -> Callable[[], int]:
    crawler = importlib.import_module("kernel_crawler.crawler")
    debian, deb = (importlib.import_module(f"kernel_crawler.{name}") for name in ("debian", "deb"))
    distro = debian.DebianMirror(arch)
    names = ("debian", "debian-security")
    distro.mirrors = [deb.DebMirror(f"{url}/{name}/", distro.arch, debian.repo_filter) for name in names]
    return lambda: len(crawler.to_driverkit_config(distro, distro.get_package_tree()))


def _rpm(url: str) -> Callable[[], int]:
    rpm = importlib.import_module("kernel_crawler.rpm")
    return lambda: len(rpm.RpmRepository(f"{url}/").get_package_tree())


if __name__ == "__main__":
    main(*sys.argv[1:])
