"""What a farm may have a Docker engine make, field by field: its sandboxes, and the volumes that these mount.

Every field that may be said is here, with the values that it may have. Another one is refused, unless it holds nothing
(`null`, `false`, `0`, an empty text, list or object): that is left out. Names are compared as they are written, where
Go's decoder takes any case; so what is passed on is never what came, but made anew from what was understood.
See the Engine API, `ContainerCreate` and `VolumeCreate`.
"""

import json
import re
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_pascal

from .errors import Denied
from .sandbox import BUNDLE_MOUNT, INPUT_MOUNT, LABEL, USER

_MIB = 1 << 20
BODY_LIMIT = _MIB
"""bytes of JSON"""
_SHOWN = 300
_TMPFS_OPTION = re.compile(r"rw|ro|exec|noexec|nosuid|nodev|[ug]id=[0-9]{1,6}|mode=0?[0-7]{3}|size=[1-9][0-9]{0,15}")
_PLACE = re.compile(r"(/[A-Za-z0-9_.-]+)+")
_TMPFS_NEEDS = {"nosuid", "nodev", "size"}
# a farm's id (`Paths.farm_id`), or that and the process that builds by hand
FARM = r"[a-z0-9][a-z0-9-]{0,63}"
# of toolchains (`images.Recipe.tag`) and no others: what the farm itself runs from may be called kmodci/ as well
IMAGE = r"kmodci/toolchain-[a-z0-9][a-z0-9-]{0,63}"
IMAGES = "kmodci/toolchain-*"
"""the same for the engine"""
TAG = r"[0-9a-f]{16}"

Text = Annotated[str, StringConstraints(max_length=64 << 10)]
FarmId = Annotated[str, StringConstraints(pattern=rf"^{FARM}$")]
VolumeName = Annotated[str, StringConstraints(pattern=rf"^kmodci-{FARM}$", max_length=200)]


class _Said(BaseModel):
    """An object of the API. Only these fields, written like this, of these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_pascal)

    @model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, said: object) -> object:
        if not isinstance(said, dict):
            return said
        known = {field.alias for field in cls.model_fields.values()}
        return {name: value for name, value in said.items() if value or (name in known and value is not None)}


def _tmpfs_path(path: str) -> str:
    parts = path.split("/")
    if not _PLACE.fullmatch(path) or {".", ".."} & set(parts) or parts[1] in ("proc", "sys", "dev"):
        raise ValueError("is no place for a tmpfs")
    return path


def _tmpfs_options(text: str) -> str:
    options = text.split(",")
    if not all(_TMPFS_OPTION.fullmatch(option) for option in options):
        raise ValueError("has an option that is not allowed")
    if _TMPFS_NEEDS - {option.partition("=")[0] for option in options}:
        raise ValueError("needs nosuid, nodev and a size")
    return text


def _one_of(*values: str) -> AfterValidator:
    def check(value: str) -> str:
        if value not in values:
            raise ValueError(f"has to be {' or '.join(values)}")
        return value

    return AfterValidator(check)


Labels = Annotated[dict[Annotated[str, _one_of(LABEL)], FarmId], Field(min_length=1)]


class _VolumeOptions(_Said):
    no_copy: Literal[True]


class _Mount(_Said):
    """A volume of the farm's by its name, or without one, one that ends with the container."""

    type: Literal["volume"]
    source: VolumeName | Literal[""] = ""
    target: Annotated[str, _one_of(BUNDLE_MOUNT, INPUT_MOUNT)]
    read_only: bool = False
    volume_options: _VolumeOptions


class _LogConfig(_Said):
    type: Literal["none"]


class _HostConfig(_Said):
    network_mode: Literal["none"]
    readonly_rootfs: Literal[True]
    cap_drop: Annotated[list[Literal["ALL"]], Field(min_length=1, max_length=1)]
    security_opt: Annotated[list[Literal["no-new-privileges"]], Field(min_length=1, max_length=1)]
    memory: Annotated[int, Field(ge=4 * _MIB)]
    memory_swap: Annotated[int, Field(ge=4 * _MIB)]
    pids_limit: Annotated[int, Field(ge=1)]
    init: bool = False
    tmpfs: dict[Annotated[str, AfterValidator(_tmpfs_path)], Annotated[str, AfterValidator(_tmpfs_options)]] = {}
    mounts: Annotated[list[_Mount], Field(max_length=4)] = []
    log_config: _LogConfig

    @model_validator(mode="after")
    def _within(self, info: ValidationInfo) -> Self:
        assert info.context is not None  # given by `understood`
        memory, processes = info.context["memory"], info.context["processes"]
        if self.memory_swap != self.memory:
            raise ValueError("MemorySwap has to be equal to Memory")
        if self.memory > memory:
            raise ValueError(f"Memory is more than this proxy allows ({memory >> 20} MiB, --memory)")
        if self.pids_limit > processes:
            raise ValueError(f"PidsLimit is more than this proxy allows ({processes}, --processes)")
        return self


class Container(_Said):
    """A sandbox."""

    image: Annotated[str, StringConstraints(pattern=rf"^{IMAGE}:{TAG}$")]
    user: Annotated[str, _one_of(USER)]
    cmd: Annotated[list[Text], Field(min_length=1, max_length=64)]
    env: Annotated[list[Text], Field(max_length=256)] = []
    labels: Labels
    open_stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    host_config: _HostConfig

    @property
    def farm(self) -> str:
        return self.labels[LABEL]

    @property
    def volumes(self) -> tuple[str, ...]:
        """Those that it mounts by name."""
        return tuple(mount.source for mount in self.host_config.mounts if mount.source)


class Volume(_Said):
    """A volume that holds a worker bundle: on the engine's own disk, and nowhere else."""

    name: VolumeName
    labels: Labels
    driver: Literal["local"] = "local"

    @property
    def farm(self) -> str:
        return self.labels[LABEL]


SaidT = TypeVar("SaidT", bound=_Said)


def understood(model: type[SaidT], body: bytes, **limits: int) -> SaidT:
    """What a JSON text says. limits: memory (bytes) and processes that a container may have. Raises Denied."""
    try:
        return model.model_validate(parse(body), context=limits)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = "is not allowed" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise Denied(shown(f"{where} {what}".strip())) from error


def said_again(understood: _Said) -> bytes:
    """The same as JSON of our own making."""
    return json.dumps(understood.model_dump(by_alias=True)).encode()


def parse(text: bytes) -> object:
    """A JSON text that all parsers read alike. Raises Denied."""
    try:
        return json.loads(text.decode(), object_pairs_hook=_object, parse_constant=_constant)
    # RecursionError: what is nested without an end
    except (ValueError, RecursionError) as error:
        raise Denied(f"no JSON that can be understood in one way only: {shown(str(error))}") from error


def shown(text: str) -> str:
    """Somebody else's words, for a log or an answer."""
    return ascii(text)[1:-1][:_SHOWN]


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name.casefold() for name, _ in pairs}) != len(pairs):
        raise ValueError("a name is there twice")
    return dict(pairs)


def _constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
