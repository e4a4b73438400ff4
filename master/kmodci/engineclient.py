"""The Docker SDK's client, as a farm uses it, and what its faults mean."""

import contextlib
import re
from http import HTTPStatus

import docker
from docker.errors import APIError, NotFound

from .sandbox import LABEL, USER


class SandboxClient(docker.APIClient):
    """The Docker SDK's client, with what every container of a farm has and Buildbot cannot say.

    Buildbot's DockerLatentWorker knows neither user nor labels; everything else it passes on.
    """

    farm = ""
    opens_stdin = False
    """whether a container's standard input is for whoever attaches to it, and ends with that"""

    @property
    def trust_env(self) -> bool:
        """Never: REQUESTS_CA_BUNDLE would stand for the authority of the engine's own certificate
        (https://github.com/docker/docker-py/issues/3256), and a proxy is for the internet."""
        return False

    @trust_env.setter
    def trust_env(self, value: bool) -> None:
        """Set by `requests` itself, when it begins."""

    def create_container(self, *args: object, **kwargs: object) -> dict[str, str]:
        made: dict[str, str] = super().create_container(
            *args, user=USER, labels={LABEL: self.farm}, stdin_open=self.opens_stdin, **kwargs
        )
        return made

    def remove_container(self, container: str, **kwargs: object) -> None:
        """Returns when it is gone, also if it is somebody else who removes it now. Raises NotFound if it was gone."""
        try:
            super().remove_container(container, **kwargs)
        except APIError as error:
            if error.status_code != HTTPStatus.CONFLICT:
                raise
            with contextlib.suppress(NotFound):
                self.wait(container, condition="removed")


# what OpenSSL calls the alerts of a server that does not like who comes
_REFUSALS = ("certificate required", "bad certificate", "unknown ca", "handshake failure")


# what of a connection's fault is worth telling, in what requests and urllib3 put around it
_REASONS = re.compile(r"\[Errno -?\d+\] ([^\"')]+)|Error\(\d+, '([^']+)'")


def words(error: Exception) -> str:
    """What went wrong, without the layers around it."""
    text = str(error)
    if (found := _REASONS.search(text)) and "SSL" not in text:
        return found[1] or found[2]
    if "timed out" in text:
        return "no answer in time"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"its certificate is not to be trusted: {text[-200:]}"
    if any(each in text.lower().replace("_", " ") for each in _REFUSALS):
        return f"it refuses the certificate of this farm: {text[-200:]}"
    return text[-400:]


def hint(error: Exception) -> str:
    """What to do about it."""
    if isinstance(error, docker.errors.TLSParameterError):
        return "tls: in kmodci.yml names files that are not there, or may not be read"
    if "certificate" in str(error) or "SSL" in str(error):
        return "tls: in kmodci.yml has to name the engine's authority, and a certificate of one that the engine trusts"
    return "is the engine running, and may this user use it? `docker info` tells"
