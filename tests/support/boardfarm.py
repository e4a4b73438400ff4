"""A farm's HTTP API in front of a board: the farm's own words (`apitold`, `matrixtold`), without a master."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, unquote

from kmodci.addresses import Addresses
from kmodci.apiasked import BuildAsked, CoverageQuery, KernelsQuery
from kmodci.apitold import build_told, refused
from kmodci.board import Board
from kmodci.demands import Demand, decide, why_refused
from kmodci.errors import NotFound
from kmodci.matrixtold import builds_told, kernels_told, run_told, runs_told, sources_told
from kmodci.model import Target
from kmodci.ondemand import Answer, Question, answer, parse_id
from kmodci.release import BadName
from kmodci.runs import Run, RunEntry, totals
from kmodci.runview import of_ending, view
from kmodci.sourceview import SourceView
from pydantic import BaseModel

from .apifarm import ApiFarm, Heard, Reply, refusal


class BoardFarm(ApiFarm):
    """What is said beforehand comes first; the rest is answered from what is set here."""

    def __init__(self, folder: Path, board: Board) -> None:
        super().__init__(folder)
        self.board = board
        self.token = ""
        """that one has to have who wants something built; empty if nobody may"""
        self.sources: Sequence[SourceView] = ()
        self.runs: dict[str, tuple[Run, Sequence[RunEntry]]] = {}

    @property
    def addresses(self) -> Addresses:
        return Addresses(web=f"{self.url}/", files=f"{self.url}/kmodci/files/")

    def otherwise(self, heard: Heard) -> Reply:
        path, _, query = heard.what.partition(" ")[2].partition("?")
        try:
            return self._told(heard, [unquote(part) for part in path.split("/")], parse_qs(query))
        except NotFound as error:
            return refusal(404, error.brief, hint=error.hint, nearest=list(error.nearest))
        except BadName as error:
            return refusal(404, error.brief, hint=error.hint)

    def _told(self, heard: Heard, path: list[str], query: dict[str, list[str]]) -> Reply:
        match path:
            case ["coverage", "builds"]:
                return _reply(builds_told(self.board, CoverageQuery()))
            case ["kernels"]:
                return _reply(kernels_told(self.board, KernelsQuery()))
            case ["sources"]:
                return _reply(sources_told(self.sources, time.time()))
            case ["runs"]:
                newest = list(self.runs.values())[::-1][: int(query["limit"][0])]
                sums = {run.id: totals(entries) for run, entries in newest}
                return _reply(runs_told([run for run, _ in newest], sums))
            case ["runs", name] if name in self.runs:
                run, entries = self.runs[name]
                chosen = of_ending(entries, query.get("ending", [""])[0])
                return _reply(run_told(view(run, entries, time.time()), chosen))
            case ["builds"]:
                return self._demanded(heard)
            case ["builds", name]:
                return _reply(build_told(self._answer_to(parse_id(name)), self.board, self.addresses, slots=2))
        return refusal(404, "there is nothing here")

    def _answer_to(self, question: Question) -> Answer:
        return answer(question, self.board, self.board.modules)

    def _demanded(self, heard: Heard) -> Reply:
        asked = BuildAsked.model_validate(heard.body)
        target = Target(distro=asked.distro, series=asked.series or "", arch=asked.arch)
        question = Question(
            module=asked.module, target=target, release=asked.kernel_release, version=asked.version or ""
        )
        found = answer(question, self.board, self.board.modules)
        may_build = bool(self.token) and heard.token == f"Bearer {self.token}"
        if heard.token and not may_build:
            return refusal(401, "this token is none of this farm's")
        match decide(found, rebuild=asked.rebuild, may_build=may_build, is_cancelled=False):
            case Demand.BUILT:
                return _reply(build_told(found, self.board, self.addresses, slots=2))
            case Demand.COMING:
                return _reply(build_told(found, self.board, self.addresses, slots=2), 202)
            case Demand.BUILD:
                found = replace(found, state="pending", reason="", place=1, entry=None)
                return _reply(build_told(found, self.board, self.addresses, slots=2), 202)
            case Demand.ASK_WHO:
                return refusal(401, "it would have to be asked for, and that takes a token")
            case _:
                told = refused(found, *why_refused(found), self.addresses)
                return Reply(409, {"error": told.model_dump(mode="json", exclude_none=True)})


def _reply(told: BaseModel, status: int = 200) -> Reply:
    return Reply(status, told.model_dump(mode="json"))
