"""OpenPGP: what an archive signed, told by gpgv, and nothing else of the file."""

import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from kmodci.errors import IndexDamaged, KmodciError

# The hash algorithms that apt refuses too; numbers of RFC 4880, section 9.4: MD5, SHA1, RIPEMD160.
_WEAK = frozenset({"1", "2", "3"})
_SECONDS = 60
_KEYRING = "install debian-archive-keyring or ubuntu-keyring, or name another as `keyring:` in targets.yml"
_UPDATE = "update the distribution's keyring (debian-archive-keyring, ubuntu-keyring), or name another in targets.yml"

# Words of the status lines, GnuPG's doc/DETAILS; the first that occurs explains best.
_REASONS: Mapping[str, tuple[str, str]] = {
    "BADSIG": (
        "the signature is wrong: the content was changed after it was signed",
        "a proxy or the mirror changes what it serves; name another mirror",
    ),
    "REVKEYSIG": ("the signing key was revoked", _UPDATE),
    "EXPKEYSIG": ("the signing key has expired", _UPDATE),
    "EXPSIG": ("the signature has expired", "the mirror serves an old index; name another"),
    "NO_PUBKEY": ("signed with a key that is in none of the keyrings", _UPDATE),
    "NODATA": ("not signed", "the mirror or a proxy serves something else at this place"),
}


def verified_release(signed: bytes, keyrings: Sequence[Path]) -> str:
    """The text that a key of the keyrings signed; what stands around it in the file is left out.

    As with apt, one good signature is enough (a release is signed with the old and the new key while
    keys change) and one wrong signature is too many. Raises IndexDamaged, with what gpgv said.
    """
    for keyring in keyrings:
        if not keyring.is_file():
            raise KmodciError(f"there is no keyring {keyring}", hint=_KEYRING)
    if not keyrings:
        raise KmodciError("no keyring is named to check signatures with", hint=_KEYRING)
    text, status = _gpgv(signed, keyrings)
    seen = {words[0]: words[1:] for words in status}
    hashes = set(_good_hashes(status))
    if "BADSIG" in seen or not hashes:
        raise _damaged(seen)
    if hashes <= _WEAK:
        raise IndexDamaged("signed with a hash that can be forged (MD5, SHA1 or RIPEMD160)")
    try:
        return text.decode()
    except UnicodeDecodeError as fault:
        raise IndexDamaged(f"signed, but not text: {fault}") from fault


def _gpgv(signed: bytes, keyrings: Sequence[Path]) -> tuple[bytes, list[list[str]]]:
    """The signed text, and the status lines as words."""
    rings = [word for keyring in keyrings for word in ("--keyring", str(keyring.absolute()))]
    command = ["gpgv", "--status-fd", "2", *rings, "--output", "-", "-"]
    try:
        done = subprocess.run(command, input=signed, capture_output=True, timeout=_SECONDS, check=False)
    except FileNotFoundError as fault:
        raise KmodciError("gpgv is not installed", hint="apt-get install gpgv") from fault
    except subprocess.TimeoutExpired as fault:
        raise IndexDamaged(f"gpgv did not end within {_SECONDS} seconds") from fault
    prefix = "[GNUPG:] "
    lines = done.stderr.decode(errors="replace").splitlines()
    status = [line.removeprefix(prefix).split() for line in lines if line.startswith(prefix)]
    if not status:
        raise IndexDamaged(f"gpgv: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return done.stdout, [words for words in status if words]


def _good_hashes(status: Iterable[Sequence[str]]) -> Iterator[str]:
    """The hash algorithm of each signature that is good, and not only valid for an expired key or the like."""
    good = False
    for words in status:
        if words[0] in ("NEWSIG", "GOODSIG"):
            good = words[0] == "GOODSIG"
        elif words[0] == "VALIDSIG" and good:
            yield words[8]


def _damaged(seen: Mapping[str, Sequence[str]]) -> IndexDamaged:
    for word, (brief, hint) in _REASONS.items():
        if word in seen:
            detail = " ".join(seen[word][:8]) if word != "NODATA" else ""
            return IndexDamaged(f"{brief} ({detail})" if detail else brief, hint=hint)
    return IndexDamaged(f"gpgv did not accept the signature: {', '.join(seen) or 'no reason given'}")
