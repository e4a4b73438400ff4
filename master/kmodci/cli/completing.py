"""What a shell offers for a word that is being typed: build ids, kernels, runs, scopes.

From a farm's files, and over the network only where a farm is asked anyway (--server); at once, or not at all: a
shell that waits, or prints a traceback, is worse than one that offers nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from ..apiclient import ApiClient

# more than that are offered up to their next `/`
_MANY = 60
_SECONDS = 2.0
_NEWEST = 50

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def stems(names: Iterable[str], begun: str) -> list[str]:
    """The names that go on from what is begun; where these are many, only up to the `/` after which they differ.

    One stem alone is never offered: a shell would put a space after it.
    """
    found = [name for name in names if name.startswith(begun)]
    at = len(begun)
    while len(found) > _MANY:
        short = dict.fromkeys(_up_to_slash(name, at) for name in found)
        if len(short) > 1:
            return list(short)
        at = len(next(iter(short)))
    return found


def _up_to_slash(name: str, at: int) -> str:
    end = name.find("/", at)
    return name if end < 0 else name[: end + 1]


def _quietly(names: Callable[[click.Context], Iterable[str]]) -> Complete:
    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            return [CompletionItem(each) for each in stems(names(context), begun)]
        except Exception:  # whatever it is: it would be printed into the line that is being typed
            return []

    return complete


def _builds(context: click.Context) -> Sequence[str]:
    if client := _client(context):
        return [each.build_id for each in client.standings()]
    from ..settings import load
    from .remembered import farm_store

    settings = load(_config(context))
    store = farm_store(settings)
    return [f"{module}/{kernel}" for module in settings.modules for kernel in (store.kernel_names() if store else ())]


def _kernels(context: click.Context) -> Sequence[str]:
    if client := _client(context):
        return [f"{each.target}/{each.release}" for each in client.kernels()]
    from ..settings import load
    from .remembered import farm_store

    store = farm_store(load(_config(context)))
    return store.kernel_names() if store else ()


def _runs(context: click.Context) -> Sequence[str]:
    if client := _client(context):
        return [each.id for each in client.runs(_NEWEST)]
    from ..runstore import RunStore
    from ..settings import load
    from .remembered import farm_store

    store = farm_store(load(_config(context)))
    return [each.id for each in RunStore(store).runs(limit=_NEWEST)] if store else ()


def _scopes(context: click.Context) -> Sequence[str]:
    from ..settings import load

    return [*load(_config(context)).scopes]


def _config(context: click.Context) -> Path:
    from ..paths import checkout

    return context.params.get("config") or checkout() / "config"


def _client(context: click.Context) -> "ApiClient | None":
    """Of the farm that the words so far, or the environment, name; None where files are meant.

    The words come before the environment. Where both are said in one place, the command will not have it: files then,
    which nothing is sent to.
    """
    words, config = ParameterSource.COMMANDLINE, context.get_parameter_source("config")
    is_of_files = config is words or (
        config is ParameterSource.ENVIRONMENT and context.get_parameter_source("server") is not words
    )
    if is_of_files or not context.params.get("server"):
        return None
    from ..apiclient import ApiClient
    from .opened import remote_of

    values = context.params
    server, token = remote_of(values["server"], values.get("token_file"), values.get("insecure"))
    return ApiClient(server, token=token, patience=0.0, timeout=_SECONDS)


complete_builds = _quietly(_builds)
complete_kernels = _quietly(_kernels)
complete_runs = _quietly(_runs)
complete_scopes = _quietly(_scopes)
