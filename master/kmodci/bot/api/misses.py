"""Questions for what is not there: an answer has the nearest that is, which takes long to find."""

from collections import OrderedDict
from collections.abc import Collection, Mapping

from ...board import Board
from ...errors import NotFound
from ...model import Kernel
from ...ondemand import Question, answer
from ..searching import search
from .access import DEAR, Caller, Refused
from .base import Context, away, unknown

_MOST = 1000


class Misses:
    """What was answered lately, for as long as the same kernels are known."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._kernels: Mapping[str, Kernel] = {}
        self._is_whole = False
        self._known: OrderedDict[Question, Refused] = OrderedDict()

    async def look(self, question: Question, board: Board, caller: Caller) -> Refused:
        """Why there is no answer to one that `ondemand.is_known` is not of. What is not known yet counts as more
        than one request. Raises KmodciError where too many ask."""
        if board.kernels is not self._kernels or board.is_whole is not self._is_whole:
            self._kernels, self._is_whole, self._known = board.kernels, board.is_whole, OrderedDict()
        known = self._known
        if (found := known.get(question)) is not None:
            return found
        self._context.access.charge(caller, DEAR)
        modules = self._context.farm.settings.modules
        # who asked for the same at the same time has found it meanwhile
        found = await search(lambda: known.get(question) or _refusal(question, board, modules))
        known[question] = found
        if len(known) > _MOST:
            known.popitem(last=False)
        return found


def _refusal(question: Question, board: Board, modules: Collection[str]) -> Refused:
    """In a thread."""
    try:
        answer(question, board, modules)
    except NotFound as error:
        return refusal_of(error, question, board, modules)
    raise AssertionError("it is there")


def refusal_of(error: NotFound, question: Question, board: Board, modules: Collection[str]) -> Refused:
    """That something is not there, or that it is not known yet whether it is."""
    if not board.is_whole and question.module in modules:
        return away(f"{error.brief}, as far as is known: not all sources have been read yet")
    return unknown(error)
