from pathlib import Path


def programs() -> Path:
    return Path("/tmp/k8s/bin")
