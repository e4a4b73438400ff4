"""What may stand in the fields of the HTTP API, said twice: as patterns, which its OpenAPI document tells, and by
`release`, which decides. A test holds one against the other.
"""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from .model import check_module_version
from .osrelease import NAMES
from .release import BadName, check_name, check_release
from .repos.base import arch_of

# No two dots in a row: each is followed by another sign, or is the last. Rust, which reads these, takes `$` for the
# very end.
NAME = r"^[a-z0-9](\.?[a-z0-9+_-])*\.?$"
PART = r"^[a-z0-9](\.?[a-z0-9+_])*\.?$"
DISTRO = rf"^({'|'.join(NAMES)}|{PART.strip('^$')})$"
RELEASE = r"^[0-9](\.?[0-9A-Za-z+~_-])*\.?$"
VERSION = r"^[0-9A-Za-z](\.?[0-9A-Za-z+~:_-])*\.?$"


def _module(text: str) -> str:
    return check_name(text, "module")


def _part(text: str) -> str:
    if "-" in check_name(text, "part of a target"):
        raise BadName(f"not a part of a target: {text[:80]!r}")
    return text


def _distro(text: str) -> str:
    """What an os-release calls otherwise, as targets.yml has it."""
    return NAMES[text] if text in NAMES else _part(text)


Module = Annotated[str, StringConstraints(pattern=NAME, max_length=63), AfterValidator(_module)]
"""of modules.yml"""
Part = Annotated[str, StringConstraints(pattern=PART, max_length=63), AfterValidator(_part)]
"""a series"""
Distro = Annotated[
    str,
    StringConstraints(pattern=DISTRO, max_length=63),
    AfterValidator(_distro),
    Field(description="as targets.yml has it, or ID of /etc/os-release", examples=["debian"]),
]
Arch = Annotated[
    str,
    StringConstraints(pattern=PART, max_length=63),
    AfterValidator(_part),
    AfterValidator(arch_of),
    Field(description="`amd64` or `arm64`, or what `uname -m` prints: `x86_64`, `aarch64`", examples=["amd64"]),
]
Release = Annotated[
    str,
    StringConstraints(pattern=RELEASE, max_length=64),
    AfterValidator(check_release),
    Field(description="what `uname -r` prints", examples=["6.1.0-50-amd64"]),
]
Version = Annotated[str, StringConstraints(pattern=VERSION, max_length=128), AfterValidator(check_module_version)]
"""of a module"""
Series = Annotated[
    Part, Field(description="a series (`bookworm`), or VERSION_ID of /etc/os-release (`12`)", examples=["bookworm"])
]
