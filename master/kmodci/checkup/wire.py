"""What a server tells before it is asked anything: that it is there, how long its certificate is good, the time."""

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import requests
from cryptography import x509

from kmodci.errors import KmodciError
from kmodci.findings import Finding, of_certificate, of_clock
from kmodci.hosts import Tls

_PATIENCE = 10


def certificate_end(path: Path) -> float:
    """The last second of the certificate in a PEM file, since the epoch. Raises KmodciError."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise KmodciError(f"{path}: no certificate can be read from it", hint=str(error)[:200]) from None
    return min(each.not_valid_after_utc.timestamp() for each in found)


def engine_certificate_end(url: str, tls: Tls) -> float:
    """Of a Docker engine at `tcp://host:port`. Raises KmodciError."""
    try:
        context = ssl.create_default_context(cafile=str(tls.ca))
        context.load_cert_chain(str(tls.cert), str(tls.key))
    except (OSError, ssl.SSLError) as error:
        raise KmodciError(f"its certificates cannot be used: {error.strerror or error}", hint="see `tls:`") from None
    parts = urlsplit(url)
    return _end(parts.hostname or "", parts.port or 2376, context)


def server_certificate_end(host: str, port: int, ca: Path | None) -> float:
    """Of what speaks TLS there. ca: PEM file of its authority, if not one of this machine's. Raises KmodciError."""
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
    except (OSError, ssl.SSLError) as error:
        raise KmodciError(f"{ca}: no authority can be read from it", hint=str(error)[:200]) from None
    return _end(host, port, context)


def _end(host: str, port: int, context: ssl.SSLContext) -> float:
    try:
        with (
            socket.create_connection((host, port), timeout=_PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname=host) as encrypted,
        ):
            told = encrypted.getpeercert() or {}
    except OSError as error:
        # also what ssl raises
        hint = "is it the right address, and its certificate of an authority that this machine trusts?"
        raise KmodciError(f"{host}:{port}: {error.strerror or error}", hint=hint) from None
    return float(ssl.cert_time_to_seconds(str(told["notAfter"])))


def of_server(url: str, whose: str) -> Iterator[Finding]:
    """Clock and certificate of an HTTP server; its status is not asked about. Raises KmodciError."""
    asked = time.time()
    try:
        answer = requests.head(url, timeout=_PATIENCE, allow_redirects=False)
    except requests.RequestException as error:
        cause = error.args[0] if error.args else error
        raise KmodciError(
            f"{_place(url)}: {type(error).__name__}", hint=str(getattr(cause, "reason", cause))[:200]
        ) from None
    if date := answer.headers.get("Date"):
        # a server that tells no date tells nothing of its clock
        with contextlib.suppress(ValueError):
            yield of_clock(whose, parsedate_to_datetime(date).timestamp(), asked, time.time())
    parts = urlsplit(url)
    if parts.scheme == "https":
        end = _end(parts.hostname or "", parts.port or 443, ssl.create_default_context())
        yield of_certificate(f"the certificate of {parts.hostname}", end, time.time(), renew="renew it on that server")


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
