"""Passwords as they are kept: scrypt, with a salt of each one's own, and its costs beside it (RFC 7914)."""

import base64
import hashlib
import hmac
import re
import secrets

from .errors import KmodciError

LONGEST = 1024
"""bytes"""
_SHORTEST = 12
# 32 MiB and some 0.1 s for each: what a guess costs too
_LOG_N, _R, _P = 15, 8, 1
_MEMORY = 64 << 20
_HASH = re.compile(r"scrypt\$(\d{1,2})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9+/]{22,88}={0,2})\$([A-Za-z0-9+/]{43}=)")
_NOBODYS = f"scrypt${_LOG_N}${_R}${_P}${base64.b64encode(bytes(16)).decode()}${base64.b64encode(bytes(32)).decode()}"


class Unfit(KmodciError):
    """No password to take."""

    exit_code = 2


def hashed(password: str) -> str:
    """As it is kept. Raises Unfit for one that is too short or too long, which it does not tell."""
    if len(password) < _SHORTEST or len(password.encode()) > LONGEST:
        raise Unfit(f"a password has at least {_SHORTEST} characters, and at most {LONGEST} bytes")
    salt = secrets.token_bytes(16)
    digest = _scrypt(password.encode(), salt, _LOG_N, _R, _P)
    return f"scrypt${_LOG_N}${_R}${_P}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def fits(password: str, kept: str | None) -> bool:
    """Whether it is the password that was kept so. Takes as long, and as much memory, where there is none (None).

    In a thread: it is meant to be slow. What is kept and is no hash fits nothing.
    """
    given = password.encode("utf-8", "surrogatepass")[:LONGEST]
    found = _HASH.fullmatch(_NOBODYS if kept is None else kept)
    if found is None:
        return False
    log_n, r, p = (int(number) for number in found.groups()[:3])
    try:
        digest = _scrypt(given, base64.b64decode(found[4]), log_n, r, p)
    except (ValueError, TypeError):
        return False  # costs that nobody here has written
    return hmac.compare_digest(digest, base64.b64decode(found[5])) and kept is not None


def generated() -> str:
    """A password that nobody has to think of: 120 random bits."""
    return secrets.token_urlsafe(15)


def fingerprint(kept: str) -> str:
    """Tells one kept password from the next of the same user; tells nothing of either."""
    return hashlib.sha256(kept.encode()).hexdigest()[:16]


def _scrypt(password: bytes, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=1 << log_n, r=r, p=p, maxmem=_MEMORY, dklen=32)
