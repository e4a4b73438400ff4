"""What a container says of its build (`facts.json`). Claims, checked by type; `verify` judges the files."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from .errors import VerifyError

# A plain file name: it becomes part of a path and of a key.
ModuleFile = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}\.ko$")]


class MakeTimes(BaseModel):
    """Seconds that the module's own make took: wall time, and CPU in user and kernel mode."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    wall: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    user: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    system: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class Facts(BaseModel):
    """Which files were built, how long it took, and with what."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    artifacts: tuple[ModuleFile, ...] = Field(min_length=1, max_length=64)
    make: MakeTimes = MakeTimes()
    compiler: str = Field(default="", max_length=200)

    @field_validator("artifacts")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError("an artifact is named twice")
        return names


def read_facts(text: bytes) -> Facts:
    """Raises VerifyError when the container's claims are not of the right type."""
    try:
        return Facts.model_validate_json(text)
    except ValidationError as error:
        problems = [
            f"facts.json: {'.'.join(str(part) for part in problem['loc']) or 'not JSON'}: {problem['msg']}"
            for problem in error.errors()[:5]
        ]
        raise VerifyError(problems) from error
