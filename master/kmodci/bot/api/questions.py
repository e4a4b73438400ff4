"""From what a node says of itself to a question for the farm."""

from ...apiasked import BuildAsked
from ...board import Board
from ...distros import DISTROS
from ...errors import NotFound
from ...model import Target
from ...ondemand import Question
from ...osrelease import series_of
from ...release import BadName
from .base import wrong


def question_of(asked: BuildAsked, board: Board) -> Question:
    """Raises Refused where the series has to be said, and is not."""
    distro = DISTROS.get(asked.distro)
    if asked.series:
        series = _series(asked.distro, asked.series)
    elif distro and distro.by_series:
        raise wrong({"series": f"is needed: {asked.distro}'s series have different kernels of one release"})
    else:
        # any will do; one that there is reads better where it is told
        same = [each.series for each in board.targets if (each.distro, each.arch) == (asked.distro, asked.arch)]
        series = same[-1] if same else "any"
    return Question(
        module=asked.module,
        target=Target(distro=asked.distro, series=series, arch=asked.arch),
        release=asked.kernel_release,
        version=asked.version or "",
    )


def _series(distro: str, text: str) -> str:
    try:
        return series_of(distro, text)
    except (BadName, NotFound) as error:
        raise wrong({"series": error.brief}) from None
