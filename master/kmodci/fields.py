"""The kinds of values that `config/*.yml` holds: each is checked here once, and is safe to use from then on."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ValidationInfo

from .errors import SecretUnusable
from .release import check_name, check_release, check_version
from .secretfile import check_private
from .selectors import check_selector
from .yamlfile import Context


def _in_folder(path: Path, info: ValidationInfo) -> Path:
    return (info.context.folder / path).resolve() if isinstance(info.context, Context) else path


def check_url(text: str, schemes: tuple[str, ...] = ("http", "https")) -> str:
    parts = urlsplit(text)
    if parts.scheme not in schemes or not (parts.netloc or parts.scheme in ("file", "unix")) or re.search(r"\s", text):
        raise ValueError(f"not a URL that can be used here: {text[:80]!r} (expected {'://, '.join(schemes)}://)")
    if "@" in parts.netloc and parts.scheme != "ssh":
        # what is fetched from where is public: manifests and pages show it
        raise ValueError("a URL may not hold a password")
    return text.rstrip("/")


def _secret(path: Path) -> Path:
    """It is there and kept from others. Who may not look at it is not the farm, which reads it at its start."""
    try:
        check_private(path)
    except SecretUnusable as error:
        raise ValueError(f"{error.brief} ({error.hint})") from None
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except OSError:
        pass
    return path


def _place(text: str, info: ValidationInfo) -> str:
    return check_url(text) if "://" in text else str(_in_folder(Path(text), info))


def fitting(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text) or ".." in text:
            raise ValueError(f"not {what}: {text[:80]!r}")
        return text

    return AfterValidator(check)


def _not_empty(items: Collection[object]) -> Collection[object]:
    """Not pydantic's `min_length`, which also complains when all items were refused for other reasons."""
    if not items:
        raise ValueError("should not be empty")
    return items


NOT_EMPTY = AfterValidator(_not_empty)
ConfigPath = Annotated[Path, AfterValidator(_in_folder)]
"""relative to the folder of the file that names it"""
SecretPath = Annotated[ConfigPath, AfterValidator(_secret)]
"""a file with one secret in it"""
Url = Annotated[str, AfterValidator(check_url)]
Name = Annotated[str, AfterValidator(check_name)]
Sha256 = Annotated[str, fitting(re.compile(r"[0-9a-f]{64}"), "a SHA256 (64 hexadecimal digits)")]
FilePlace = Annotated[str, AfterValidator(_place)]
"""a URL, or a path relative to the folder of the file that names it"""
Release = Annotated[str, AfterValidator(check_release)]
Version = Annotated[str, AfterValidator(check_version)]
KernelSelector = Annotated[str, AfterValidator(lambda text: check_selector(text, parts=2))]
BuildSelector = Annotated[str, AfterValidator(lambda text: check_selector(text, parts=3))]
