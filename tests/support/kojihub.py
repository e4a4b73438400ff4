"""A Koji hub on loopback: the calls that a client needs to find builds, by XML-RPC, and the tree of files.

The calls take and answer what those of Koji 1.35 do (kojihub/kojihub.py; koji/__init__.py for `__starstar`), as far as
it is asked for here; their rows have more fields than are read.

with KojiHub(tmp_path) as hub:
    hub.add("6.15.3-200.fc42", [rpm], completed=1750000000.0, signed={"105ef944": [signed_rpm]})
"""

import fnmatch
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault
from xmlrpc.server import SimpleXMLRPCDispatcher

from benchmarks.webserver import Handler, Served, WebServer

COMPLETE, DELETED, FAILED = 1, 2, 3
_PATH = "/kojihub"


class KojiHub(Served):
    """`calls` are the methods that were called, in order, each with its arguments. `server.folder` has the files."""

    def __init__(self, folder: Path, *, package: str = "kernel", checksums: bool = True) -> None:
        """checksums: as since Koji 1.32."""
        self.root = folder / "koji"
        self.root.mkdir(parents=True)
        self.package = package
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.builds: list[dict[str, Any]] = []
        self.rpms: list[dict[str, Any]] = []
        self.sums: dict[int, dict[str, dict[str, str | None]]] = {}
        self.server = WebServer(self.root)
        self.server.post = self._answer
        self._dispatcher = SimpleXMLRPCDispatcher(allow_none=True)
        self._dispatcher.register_instance(self)
        self._methods = {
            "getPackageID": self._package_id,
            "listBuilds": self._list_builds,
            "listRPMs": self._list_rpms,
            **({"getRPMChecksums": self._checksums} if checksums else {}),
        }

    @property
    def url(self) -> str:
        return f"{self.server.url}{_PATH}"

    @property
    def files(self) -> str:
        return self.server.url

    def called(self) -> list[str]:
        """The methods since the last time that this was asked."""
        names = [name for name, _, _ in self.calls]
        self.calls.clear()
        return names

    def add(
        self,
        version: str,
        rpms: Sequence[Path],
        *,
        completed: float,
        signed: Mapping[str, Sequence[Path]] | None = None,
        state: int = COMPLETE,
        volume: str = "DEFAULT",
        draft: bool = False,
    ) -> None:
        """A build of the package. version: with its release; rpms: as they were built; signed: copies, by key."""
        number, release = version.split("-")
        identity = 2_700_000 + len(self.builds)
        build = {
            "build_id": identity,
            "package_id": 8,
            "package_name": self.package,
            "name": self.package,
            "version": number,
            "release": release,
            "epoch": None,
            "nvr": f"{self.package}-{version}",
            "state": state,
            "draft": draft,
            "completion_ts": completed,
            "completion_time": "2026-11-20 12:00:00.123456",
            "volume_id": 0,
            "volume_name": volume,
            "owner_name": "builder",
            "task_id": 140000000 + len(self.builds),
            "source": "git+https://src.example.org/rpms/kernel.git#0123456789",
            "extra": {"source": {"original_url": "git+https://src.example.org/rpms/kernel.git#0123456789"}},
        }
        self.builds.append(build)
        top = self.root if volume == "DEFAULT" else self.root / "vol" / volume
        folder = top / "packages" / self.package / number / release
        for rpm in rpms:
            self._add_rpm(rpm, identity, folder)
        for key, copies in (signed or {}).items():
            for copy in copies:
                self.sign(copy, key, folder=folder)

    def _add_rpm(self, rpm: Path, build: int, folder: Path) -> None:
        nvr, arch = rpm.name.removesuffix(".rpm").rsplit(".", 1)
        name, version, release = nvr.rsplit("-", 2)
        content = rpm.read_bytes()
        row = {
            "id": 43_000_000 + len(self.rpms),
            "name": name,
            "version": version,
            "release": release,
            "nvr": nvr,
            "arch": arch,
            "epoch": None,
            "size": len(content),
            "payloadhash": hashlib.md5(content, usedforsecurity=False).hexdigest(),
            "buildtime": 1750000000,
            "build_id": build,
            "buildroot_id": 1,
            "external_repo_id": 0,
            "external_repo_name": "INTERNAL",
            "metadata_only": False,
            "draft": False,
            "extra": None,
        }
        self.rpms.append(row)
        (folder / arch).mkdir(parents=True, exist_ok=True)
        shutil.copy(rpm, folder / arch / rpm.name)
        self.sums[row["id"]] = {"": {"sha256": hashlib.sha256(content).hexdigest()}}

    def sign(self, copy: Path, key: str, *, folder: Path | None = None) -> None:
        """Puts a signed copy of a package there that has been built."""
        [row] = [each for each in self.rpms if copy.name == f"{each['nvr']}.{each['arch']}.rpm"]
        folder = folder or self.root / "packages" / self.package / row["version"] / row["release"]
        target = folder / "data" / "signed" / key / row["arch"]
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(copy, target / copy.name)
        self.sums[row["id"]][key] = {"sha256": hashlib.sha256(copy.read_bytes()).hexdigest()}

    def _answer(self, handler: Handler) -> None:
        if handler.path != _PATH:
            handler.send_error(404)
            return
        answer = self._dispatcher._marshaled_dispatch(handler.body)
        assert isinstance(answer, bytes)
        handler.send_response(200)
        handler.send_header("Content-Type", "text/xml")
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def _dispatch(self, method: str, arguments: tuple[Any, ...]) -> object:
        """As xmlrpc.server has it; a last argument with `__starstar` has the ones with names."""
        named: dict[str, Any] = {}
        if arguments and isinstance(arguments[-1], dict) and arguments[-1].get("__starstar"):
            named = {name: value for name, value in arguments[-1].items() if name != "__starstar"}
            arguments = arguments[:-1]
        self.calls.append((method, arguments, named))
        if method not in self._methods:
            raise Fault(1000, f"Invalid method: {method}")
        return self._methods[method](*arguments, **named)

    def _package_id(self, name: str, strict: bool = False) -> int | None:
        return 8 if name == self.package else None

    def _list_builds(
        self,
        packageID: int | None = None,  # noqa: N803
        state: int | None = None,
        pattern: str | None = None,
        queryOpts: Mapping[str, Any] | None = None,  # noqa: N803
    ) -> list[dict[str, Any]]:
        found = [
            build
            for build in self.builds
            if (packageID is None or build["package_id"] == packageID)
            and (state is None or build["state"] == state)
            # of SQL, which does not care for upper and lower case
            and (pattern is None or fnmatch.fnmatchcase(build["nvr"].lower(), pattern.lower()))
        ]
        options = queryOpts or {}
        for term in reversed(options.get("order", "").split(",")):
            name = term.lstrip("-").replace("completion_time", "completion_ts")
            found.sort(key=lambda build: (str(type(build[name])), build[name]), reverse=term.startswith("-"))
        offset = options.get("offset", 0)
        return found[offset : offset + options.get("limit", len(found))]

    def _list_rpms(
        self,
        buildID: int | None = None,  # noqa: N803
        arches: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        return [row for row in self.rpms if row["build_id"] == buildID and (arches is None or row["arch"] in arches)]

    def _checksums(
        self, rpm_id: int, checksum_types: Sequence[str] | None = None, cacheonly: bool = False
    ) -> dict[str, dict[str, str | None]]:
        assert (checksum_types, cacheonly) == (["sha256"], True)
        return self.sums[rpm_id]
