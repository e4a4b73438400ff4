"""A farm that runs, asked over its HTTP API: typed questions, typed answers, and errors that say what to do next.

How a question is sent, and asked again, is `apicalls`'; what refusals mean is `refusals`'.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from .apicalls import PATIENCE, Calls
from .apiserver import Server
from .errors import KmodciError, NotFound
from .refusals import Answered
from .told import BuildTold, KernelTold, RunTold, RunWholeTold, SourceTold, StandingTold

# bytes
_LARGEST_LOG = 1 << 20
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPiece:
    """A piece of the log of a build."""

    data: bytes
    is_complete: bool
    """whether nothing will come after what is known now"""
    build: str = ""
    """names the build that it is of: Buildbot's, as `<builder>/<number>`, or what is published"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A build to be asked for. Names are checked by who makes it."""

    module: str
    distro: str
    series: str
    arch: str
    kernel_release: str
    version: str = ""
    """of the module; empty for the one that its source is at"""
    rebuild: bool = False

    @property
    def id(self) -> str:
        """Of the question, as `ondemand.Answer.id` has it."""
        return ",".join((self.module, self.version, f"{self.distro}-{self.series}-{self.arch}", self.kernel_release))

    def plain(self) -> dict[str, object]:
        """For JSON, without what is not said."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value}


class ApiClient:
    """Keeps connections open between questions.

    token: empty for none; patience: seconds for which a farm that is away is asked again; timeout: seconds of silence;
    say: is told where it waits.
    Every method raises FarmAway, Refused, NotFound.
    """

    def __init__(
        self,
        server: Server,
        *,
        token: str = "",
        patience: float = PATIENCE,
        timeout: float = 30.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._calls = Calls(server, token=token, patience=patience, timeout=timeout, say=say)

    @property
    def server(self) -> Server:
        """Where the farm is."""
        return self._calls.server

    def be_patient(self, seconds: float) -> None:
        """From now on a farm that is away is asked again for so long."""
        self._calls.patience = seconds

    def ask_build(self, wanted: Wanted) -> BuildTold:
        """The build; asked for, if it is not built and can be. One that failed is answered as it is."""
        answered = self._calls.ask("builds", body=wanted.plain(), settled=frozenset({409}), once=wanted.rebuild)
        if answered.status == 409:
            said = answered.error
            return self.build((said and said.id) or wanted.id)
        return _read(answered, BuildTold)

    def build(self, identity: str) -> BuildTold:
        """identity: a question's id."""
        return _read(self._calls.ask(f"builds/{quote(identity, safe=',')}"), BuildTold)

    def log(self, identity: str, offset: int) -> LogPiece | None:
        """The log of a build from this byte on: of the one that runs, or else of the last. None if there is none."""
        path = f"builds/{quote(identity, safe=',')}/log"
        answered = self._calls.ask(
            path, {"offset": str(offset)}, settled=frozenset({404}), limit=_LARGEST_LOG, kind="text/plain"
        )
        if answered.status == 404:
            return None
        return LogPiece(
            data=answered.body,
            is_complete=answered.headers.get("X-Log-Complete", "") == "true",
            build=answered.headers.get("X-Log-Build", ""),
        )

    def standings(self) -> list[StandingTold]:
        """Every build of the matrix."""
        return self._list("coverage/builds", "builds", StandingTold)

    def kernels(self) -> list[KernelTold]:
        return self._list("kernels", "kernels", KernelTold)

    def sources(self) -> list[SourceTold]:
        return self._list("sources", "sources", SourceTold)

    def runs(self, limit: int) -> list[RunTold]:
        """The newest first. limit: 1 to 1000."""
        return self._list("runs", "runs", RunTold, {"limit": str(limit)})

    def run(self, identity: str, ending: str = "") -> RunWholeTold:
        """ending: only the builds that ended so; empty for all."""
        query = {"ending": ending} if ending else None
        return _read(self._calls.ask(f"runs/{quote(identity, safe='')}", query), RunWholeTold)

    def _list(self, path: str, name: str, model: type[_Model], query: Mapping[str, str] | None = None) -> list[_Model]:
        answered = self._calls.ask(path, query)
        found = _json(answered).get(name)
        if not isinstance(found, list):
            raise _odd(answered, f"no {name} in it")
        return [_validated(answered, each, model) for each in found]


def _read(answered: Answered, model: type[_Model]) -> _Model:
    return _validated(answered, _json(answered), model)


def _json(answered: Answered) -> dict[str, object]:
    found = answered.json()
    if found is None:
        raise _odd(answered, "it is no JSON object")
    return found


def _validated(answered: Answered, data: object, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _odd(answered, f"{where}: {first['msg']}") from error


def _odd(answered: Answered, what: str) -> KmodciError:
    hint = "is the farm of another version than this kmodci? `kmodci --version`"
    return NotFound(f"{answered.url}: the answer is not what was expected: {what}", hint=hint)
