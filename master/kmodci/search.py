"""What a user names, found: a module, a target, a kernel, a build. For what is not there, the nearest that are."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from heapq import nlargest
from os.path import commonprefix
from typing import TypeVar

from .errors import NotFound
from .model import BuildId
from .yamlfile import suggestion

_Thing = TypeVar("_Thing")
_COMPARED = 32


def find_module(name: str, modules: Collection[str]) -> str:
    """The module of that name. Raises NotFound with the nearest."""
    if name not in modules:
        raise NotFound(
            f"no module {name[:80]!r}{suggestion(name, modules)}",
            hint=f"there are: {', '.join(sorted(modules))}",
            nearest=difflib.get_close_matches(name[:200], [*modules], 4, 0.6),
        )
    return name


def find_target(name: str, targets: Collection[str]) -> str:
    """The target of that name. Raises NotFound with the nearest."""
    if name not in targets:
        raise NotFound(f"no target {name[:80]!r}{suggestion(name, targets)}", hint=f"there are: {', '.join(targets)}")
    return name


def find_kernel(text: str, kernels: Mapping[str, _Thing], *, among: str) -> _Thing:
    """What belongs to a kernel, named by `target/release` or by a release that only one target has.

    kernels: by `target/release`; among: says in an error where it was looked for. Raises NotFound with the nearest.
    """
    if text in kernels:
        return kernels[text]
    found = [name for name in kernels if name.partition("/")[2] == text]
    if len(found) == 1:
        return kernels[found[0]]
    if found:
        raise NotFound(f"{text} is more than one kernel", hint=f"say which: {', '.join(found)}")
    near = _nearest(text, kernels)
    hint = f"the nearest are: {', '.join(near)}" if near else "`kmodci kernels` lists those there are"
    raise NotFound(f"no kernel {text[:120]!r} {among}", hint=hint, nearest=near)


def find_build(text: str, modules: Collection[str], kernels: Collection[str]) -> BuildId:
    """The build of that id. kernels: each as `target/release`.

    Raises BadName for what is no build id, NotFound with the nearest for an unknown one.
    """
    build_id = BuildId.parse(text)
    find_module(build_id.module, modules)
    name = f"{build_id.target}/{build_id.release}"
    find_kernel(name, {kernel: kernel for kernel in kernels}, among="is listed by any repository that was looked at")
    return build_id


def _nearest(wrong: str, kernels: Collection[str]) -> list[str]:
    """Of the same target first: a release is mistyped more often than a target."""
    target, slash, _ = wrong.partition("/")
    names = [*kernels] if slash else list(dict.fromkeys(name.partition("/")[2] for name in kernels))
    same = [name for name in names if name.startswith(f"{target}/")]
    return difflib.get_close_matches(wrong[:200], _alike(wrong, same or names), 4, 0.6)


def _alike(wrong: str, names: Sequence[str]) -> list[str]:
    """Those that begin or end most like it: to compare with every one of thousands takes a tenth of a second."""
    if len(names) <= 2 * _COMPARED:
        return [*names]
    begin = nlargest(_COMPARED, names, key=lambda name: _common(wrong, name))
    end = nlargest(_COMPARED, names, key=lambda name: _common(wrong[::-1], name[::-1]))
    return list(dict.fromkeys((*begin, *end)))


def _common(one: str, other: str) -> int:
    """With how many equal letters they begin."""
    return len(commonprefix((one, other)))  # noqa: RUF071 # letter by letter is what is wanted
