"""What is at which address."""

import json
from importlib.metadata import version

from buildbot.master import BuildMaster
from twisted.web.server import Request

from ...addresses import API
from ...apiasked import NoQuery
from ...farm import Farm
from ...openapi import document
from .access import Caller
from .base import Body, Context, Endpoint, NoSuchThing, query_of
from .builds import Builds
from .reading import Coverage, Hosts, Kernels, Runs, Sources
from .status import Health, Metrics
from .vitals import Examiner


class Api:
    """All of it, made anew for each configuration. `root` is what is at `/api/kmodci`."""

    def __init__(self, master: BuildMaster, farm: Farm) -> None:
        context = Context.of(master, farm)
        examiner = Examiner(context)
        first = NoSuchThing(context)
        for name, endpoint in {
            "builds": Builds,
            "coverage": Coverage,
            "kernels": Kernels,
            "sources": Sources,
            "hosts": Hosts,
            "runs": Runs,
            "openapi.json": Described,
        }.items():
            first.putChild(name.encode(), endpoint(context))
        self.access = context.access
        self.root = NoSuchThing(context)
        self.root.putChild(b"v1", first)
        self.health, self.metrics = Health(context, examiner), Metrics(context, examiner)


class Described(Endpoint):
    """The OpenAPI document."""

    is_open = True

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        made = document(f"{context.addresses.web}{API}", version("kmodci"))
        self._text = json.dumps(made).encode() + b"\n"

    def get(self, request: Request, caller: Caller) -> Body:
        query_of(request, NoQuery)
        return self._text
