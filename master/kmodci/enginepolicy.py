"""What a farm may ask a Docker engine for: an allow-list of the Engine API's calls, one by one.

Pure: a call is judged by its method, its target and its JSON body, and what is passed on is made anew from what was
understood. What only the engine knows (whose a container is, whose a volume) is named, for the proxy to ask.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qsl, urlencode

from .enginebodies import FARM, IMAGE, IMAGES, TAG, Container, Volume, parse, said_again, shown, understood
from .errors import Denied
from .sandbox import BUNDLE_MOUNT, INPUT_MOUNT, LABEL

_VERSIONED = re.compile(r"(/v1\.[0-9]{2})?(/.*)")
# no percent sign, so that nothing has to be decoded to be read
_PATH = re.compile(r"(/[A-Za-z0-9_.:-]+)+")
_TARGET_LIMIT = 4096
_FIELDS_LIMIT = 16
_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}"
_NO = "0|false|False"
_BOOL = f"{_NO}|1|true|True"
_FILTERS = ".{0,2000}"
_MOUNTS = f"{BUNDLE_MOUNT}|{INPUT_MOUNT}"


class Body(Enum):
    """What a call may bring with it."""

    NONE = "none"
    JSON = "json"
    STREAM = "stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A call that may be made."""

    method: str
    path: str
    """a pattern; its groups `container` and `volume` are what has to be the farm's"""
    query: Mapping[str, str] = field(default_factory=dict)
    """key -> pattern of its values; there may be no others"""
    needs: frozenset[str] = frozenset()
    """the keys that have to be there"""
    body: Body = Body.NONE
    becomes: type[Container | Volume] | None = None
    """what the body has to be"""
    is_filtered: bool = False
    """whether it lists what belongs to farms"""
    adds: Mapping[str, str] = field(default_factory=dict)
    """to the query, whatever was asked"""
    hijacks: bool = False
    """whether the connection becomes the container's"""
    keeps: frozenset[str] = frozenset()
    """of the answer, if not all of it"""


def _of_container(method: str, action: str, **more: str) -> Route:
    return Route(method=method, path=f"/containers/(?P<container>{_NAME}){action}", query=more)


_LIST_IMAGES = {"all": _NO, "only_ids": _NO}
_ATTACH = {"stream": "1", "stdin": "[01]", "stdout": "[01]", "stderr": "[01]", "logs": "[01]"}

ROUTES = (
    Route(method="GET", path="/_ping"),
    Route(method="GET", path="/version"),
    # the rest of it names registries, proxies with their passwords, and paths of the host
    Route(method="GET", path="/info", keeps=frozenset({"Architecture", "NCPU", "ServerVersion", "MemTotal"})),
    Route(
        method="GET",
        path="/images/json",
        query=_LIST_IMAGES,
        adds={"filters": json.dumps({"reference": [IMAGES]})},
    ),
    Route(method="GET", path=f"/images/{IMAGE}:{TAG}/json"),
    Route(method="DELETE", path=f"/images/{IMAGE}:{TAG}", query={"force": _NO, "noprune": _NO}),
    Route(
        method="POST",
        path="/images/create",
        query={"fromSrc": "-", "repo": IMAGE, "tag": TAG},
        needs=frozenset({"fromSrc", "repo", "tag"}),
        body=Body.STREAM,
    ),
    Route(
        method="GET",
        path="/containers/json",
        query={"all": _BOOL, "limit": "-1", "size": _NO, "trunc_cmd": _BOOL, "filters": _FILTERS},
        is_filtered=True,
    ),
    Route(
        method="POST",
        path="/containers/create",
        query={"name": f"buildbot-{_NAME}"},
        body=Body.JSON,
        becomes=Container,
    ),
    _of_container("GET", "/json"),
    _of_container("DELETE", "", v=_BOOL, force=_BOOL, link=_NO),
    _of_container("POST", "/start"),
    _of_container("POST", "/kill"),
    _of_container("POST", "/wait", condition="not-running|next-exit|removed"),
    Route(
        method="POST",
        path=f"/containers/(?P<container>{_NAME})/attach",
        query=_ATTACH,
        needs=frozenset({"stream"}),
        hijacks=True,
    ),
    Route(
        method="GET",
        path=f"/containers/(?P<container>{_NAME})/archive",
        # written last of a worker bundle (`sending`)
        query={"path": rf"{BUNDLE_MOUNT}/\.whole"},
        needs=frozenset({"path"}),
    ),
    Route(
        method="PUT",
        path=f"/containers/(?P<container>{_NAME})/archive",
        query={"path": _MOUNTS},
        needs=frozenset({"path"}),
        body=Body.STREAM,
    ),
    Route(method="GET", path="/volumes", query={"filters": _FILTERS}, is_filtered=True),
    Route(method="POST", path="/volumes/create", body=Body.JSON, becomes=Volume),
    Route(method="DELETE", path=f"/volumes/(?P<volume>kmodci-{FARM})", query={"force": _NO}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call that may be made, if its body will do."""

    route: Route
    path: str
    """with the API's version, and `{container}` in place of what names one"""
    query: Mapping[str, str]
    container: str = ""
    volume: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What is sent to the engine."""

    route: Route
    path: str
    query: Mapping[str, str]
    container: str = ""
    """an id or a name: has to be the farm's, and its id goes into the path"""
    volumes: tuple[str, ...] = ()
    """have to be the farm's"""
    body: bytes = b""
    """unless it is a stream"""

    def target(self, container: str = "") -> str:
        """As the request has it. container: its full id."""
        return self.path.format(container=container) + (f"?{urlencode(self.query)}" if self.query else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """farm: whose containers and volumes may be touched, empty for those of any farm; memory: bytes, processes: what
    one container may have."""

    farm: str = ""
    memory: int
    processes: int

    def find(self, method: str, target: str) -> Asked:
        """What is asked for. Raises Denied."""
        path, mark, query = target.partition("?")
        if len(target) > _TARGET_LIMIT or not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
            raise Denied("a path that could be read in more than one way")
        version, path = _VERSIONED.fullmatch(path).groups("")  # type: ignore[union-attr]  # fits every path
        for route in ROUTES:
            found = re.fullmatch(route.path, path)
            if found and route.method == method:
                names = found.groupdict("")
                if container := names.get("container", ""):
                    start, end = found.span("container")
                    path = f"{path[:start]}{{container}}{path[end:]}"
                asked = self._query(route, query) if mark else {}
                if missing := route.needs - asked.keys():
                    raise Denied(f"{min(missing)} is not said")
                return Asked(
                    route=route, path=version + path, query=asked, container=container, volume=names.get("volume", "")
                )
        raise Denied("is nothing that a farm needs")

    def judge(self, asked: Asked, body: bytes = b"") -> Passed:
        """What is to be sent. body: of a call that has a JSON body. Raises Denied."""
        route, query = asked.route, dict(asked.query)
        if route.is_filtered:
            query["filters"] = self._filters(query.get("filters", "{}"))
        volumes: tuple[str, ...] = (asked.volume,) if asked.volume else ()
        if route.becomes is not None:
            made = understood(route.becomes, body, memory=self.memory, processes=self.processes)
            if not self.owns(made.farm):
                raise Denied(f"{LABEL}={made.farm} is another farm's label")
            volumes = (made.name,) if isinstance(made, Volume) else made.volumes
            if foreign := [name for name in volumes if not name.startswith(f"kmodci-{made.farm}-")]:
                raise Denied(f"{foreign[0]} is not called as a volume of farm {made.farm} is")
            # one that is about to be made is nobody's yet
            volumes = () if isinstance(made, Volume) else volumes
            body = said_again(made)
        return Passed(
            route=route,
            path=asked.path,
            query={**query, **route.adds},
            container=asked.container,
            volumes=volumes,
            body=body,
        )

    def owns(self, farm: str) -> bool:
        """Whether what has this label may be touched. What is built by hand is the farm's as well."""
        if not self.farm:
            return bool(re.fullmatch(FARM, farm))
        return farm == self.farm or bool(re.fullmatch(rf"{re.escape(self.farm)}-by-hand-[0-9]{{1,10}}", farm))

    def check_owned(self, what: str, labels: object) -> None:
        """labels: as the engine has them. Raises Denied."""
        label = labels.get(LABEL) if isinstance(labels, dict) else None
        if not isinstance(label, str) or not self.owns(label):
            raise Denied(f"{what} is not this farm's")

    def _query(self, route: Route, text: str) -> dict[str, str]:
        try:
            pairs = parse_qsl(
                text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_FIELDS_LIMIT
            )
        except ValueError as error:
            raise Denied("a query that could be read in more than one way") from error
        query = dict(pairs)
        if len(query) != len(pairs) or ";" in text:
            raise Denied("a query that could be read in more than one way")
        for key, value in query.items():
            if not re.fullmatch(route.query.get(key, r"[^\s\S]"), value):
                raise Denied(f"{shown(key)}={shown(value)} is not allowed")
        return query

    def _filters(self, text: str) -> str:
        """Has only what is a farm's listed, whatever is asked for."""
        filters = parse(text.encode())
        if not isinstance(filters, dict) or not filters.keys() <= {"label", "name"}:
            raise Denied("filters may be of label and name")
        for values in filters.values():
            if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
                raise Denied("a filter has to be a list of texts")
        labels = filters.get("label", [])
        for label in labels:
            name, _, farm = label.partition("=")
            if name != LABEL or (farm and not self.owns(farm)):
                raise Denied(f"{shown(label)} is not this farm's label")
        if not any("=" in label for label in labels):
            filters["label"] = [f"{LABEL}={self.farm}" if self.farm else LABEL]
        return json.dumps(filters)
