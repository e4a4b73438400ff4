"""The API of a Kubernetes cluster: one request at a time, in this farm's name, and what its faults mean.

`requests` and not Kubernetes' own client: that has a class for each of some 700 kinds of object, 126 MB, and here are
six questions about pods. See https://kubernetes.io/docs/reference/kubernetes-api/.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, urlsplit

import requests
from pydantic import BaseModel, ValidationError

from .engineclient import words
from .errors import EngineError, SecretUnusable
from .hosts import ClusterAt
from .pods import one_line
from .secretfile import read_secret

# seconds without a byte
_PATIENCE = 30
# bytes; the list of a thousand pods has some 8 MB
_LONGEST = 64 << 20


class Refusal(EngineError):
    """The API has answered, and will not."""


class _Status(BaseModel):
    """What the API says of a request that it did not do (meta/v1 Status)."""

    message: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class KubeApi:
    """Every method raises EngineError when the cluster does not do as asked."""

    at: ClusterAt

    def get(self, path: str, query: Mapping[str, str] | None = None, *, timeout: float = _PATIENCE) -> bytes | None:
        """What is there, as JSON; None if there is nothing. timeout: seconds without a byte."""
        return self._ask("GET", path, query=query, timeout=timeout)

    def post(self, path: str, body: Mapping[str, object]) -> bytes | None:
        """Makes something; None if the place for it is gone."""
        return self._ask("POST", path, body=body)

    def delete(self, path: str, *, grace: int) -> bool:
        """Has something removed; False if it was gone. grace: seconds that it has to end."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": grace}
        return self._ask("DELETE", path, body=options) is not None

    def authorization(self) -> dict[str, str]:
        """The header by which the API knows the farm, if it is not by a certificate. Raises SecretUnusable."""
        return {"Authorization": f"Bearer {read_secret(self.at.token)}"} if self.at.token else {}

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        timeout: float = _PATIENCE,
    ) -> bytes | None:
        what = f"{self.name}: {method} {path}"
        try:
            with requests.Session() as session:
                # neither a proxy nor REQUESTS_CA_BUNDLE is meant for this
                session.trust_env = False
                session.verify = str(self.at.ca) if self.at.ca else True
                session.cert = (str(self.at.cert), str(self.at.key)) if self.at.cert else None
                with session.request(
                    method,
                    self.at.server + path,
                    params=query,
                    data=None if body is None else json.dumps(body),
                    headers={"Content-Type": "application/json", **self.authorization()},
                    timeout=(min(timeout, 10), timeout),
                    allow_redirects=False,
                    stream=True,
                ) as answer:
                    content = _bounded(what, answer, time.monotonic() + 2 * timeout)
        except SecretUnusable as error:
            raise EngineError(f"{self.name}: {error.brief}", hint=error.hint) from None
        except (requests.exceptions.RequestException, OSError) as error:
            raise EngineError(f"{what}: {words(error)}", hint=_hint(error)) from error
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if not answer.ok or answer.is_redirect:
            raise _refusal(what, answer.status_code, content)
        return content

    @property
    def name(self) -> str:
        """For words."""
        return f"cluster {self.at.server}"

    def pods(self, name: str = "", *, sub: str = "") -> str:
        """The path of the namespace's pods, or of one of them. sub: `status`, `attach`."""
        parts = ["api", "v1", "namespaces", self.at.namespace, "pods", name, sub]
        return "/" + "/".join(quote(part, safe="") for part in parts if part)

    @property
    def address(self) -> tuple[str, int, str]:
        """Host, port and path before all others of the API."""
        parts = urlsplit(self.at.server)
        return parts.hostname or "", parts.port or 443, parts.path.rstrip("/")


def _bounded(what: str, answer: requests.Response, deadline: float) -> bytes:
    """deadline: monotonic seconds; who sends a byte now and then is not listened to for ever."""
    content = bytearray()
    for piece in answer.iter_content(1 << 16):
        content += piece
        if len(content) > _LONGEST:
            raise EngineError(f"{what}: more than {_LONGEST >> 20} MiB of answer")
        if time.monotonic() > deadline:
            raise EngineError(f"{what}: no whole answer in time")
    return bytes(content)


def _refusal(what: str, status: int, content: bytes) -> Refusal:
    try:
        said = _Status.model_validate_json(content).message
    except ValidationError:
        said = content[:200].decode(errors="replace")
    said = one_line(said)
    hints: dict[int, str] = {
        HTTPStatus.UNAUTHORIZED: "the token, or the certificate, is none that the cluster knows, or has expired",
        HTTPStatus.FORBIDDEN: "docs/kubernetes.yaml has the role that the farm needs, and the quota that it is given",
    }
    return Refusal(f"{what}: {status} {said}", hint=hints.get(status, ""))


def _hint(error: Exception) -> str:
    if "certificate" in str(error).lower() or "SSL" in str(error):
        return "ca: in kmodci.yml has to be the authority of the API's certificate, and server: a name that it has"
    return "is that the address of the cluster's API, and can this machine reach it?"
