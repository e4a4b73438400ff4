"""OpenPGP: what a vendor signed, told by gpgv, and nothing else of the file."""

import base64
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from kmodci.errors import IndexDamaged, KmodciError

# The hash algorithms that apt refuses too; numbers of RFC 4880, section 9.4: MD5, SHA1, RIPEMD160.
_WEAK = frozenset({"1", "2", "3"})
_SECONDS = 60
_KEYRING = "name the vendor's as `keyring:` in targets.yml (or install debian-archive-keyring, ubuntu-keyring)"
_UPDATE = "update the keyring (package debian-archive-keyring or ubuntu-keyring), or name another in targets.yml"
_ARMOUR = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)

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
    """The text that a key of the keyrings clear-signed; what stands around it in the file is left out.

    As with apt, one good signature is enough (a release is signed with the old and the new key while
    keys change) and one wrong signature is too many. Raises IndexDamaged, with what gpgv said.
    """
    text, status = _gpgv(keyrings, ["--output", "-", "-"], signed)
    _judge(status)
    try:
        return text.decode()
    except UnicodeDecodeError as fault:
        raise IndexDamaged(f"signed, but not text: {fault}") from fault


def check_signature(content: bytes, signature: bytes, keyrings: Sequence[Path]) -> None:
    """Raises IndexDamaged unless the detached signature, armoured or not, is good for the content; as above."""
    with TemporaryDirectory(prefix="kmodci-signature-") as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        _, status = _gpgv(keyrings, [str(file), "-"], content)
    _judge(status)


def dearmoured(keyring: bytes) -> bytes:
    """The keys of a file, as gpgv reads them; vendors publish them armoured (RFC 4880, section 6.2), some several.

    Raises ValueError if it has such keys and they cannot be read.
    """
    blocks = _ARMOUR.findall(keyring)
    return b"".join(map(_plain, blocks)) if blocks else keyring


def _plain(block: bytes) -> bytes:
    # the rest of the first line, headers up to an empty line, base64, a checksum that begins with `=`
    lines = [line.strip() for line in block.splitlines()]
    start = lines.index(b"", 1) if b"" in lines[1:] else 0
    text = b"".join(line for line in lines[start:] if not line.startswith(b"="))
    return base64.b64decode(text, validate=True)


def _gpgv(keyrings: Sequence[Path], arguments: Sequence[str], content: bytes) -> tuple[bytes, list[list[str]]]:
    """What it writes, and its status lines as words."""
    with _readable(keyrings) as rings:
        options = [word for ring in rings for word in ("--keyring", str(ring))]
        command = ["gpgv", "--status-fd", "2", *options, *arguments]
        try:
            done = subprocess.run(command, input=content, capture_output=True, timeout=_SECONDS, check=False)
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


@contextmanager
def _readable(keyrings: Sequence[Path]) -> Iterator[list[Path]]:
    """The keyrings as gpgv takes them."""
    if not keyrings:
        raise KmodciError("no keyring is named to check signatures with", hint=_KEYRING)
    with TemporaryDirectory(prefix="kmodci-keyring-") as folder:
        found = []
        for number, keyring in enumerate(keyrings):
            try:
                content = keyring.read_bytes()
                plain = dearmoured(content)
            except OSError as fault:
                raise KmodciError(f"there is no keyring {keyring}: {fault.strerror}", hint=_KEYRING) from fault
            except ValueError as fault:
                raise KmodciError(f"{keyring}: its armour cannot be read: {fault}", hint=_KEYRING) from fault
            found.append(keyring.absolute())
            if plain is not content:
                found[-1] = Path(folder) / f"{number}.gpg"
                found[-1].write_bytes(plain)
        yield found


def _judge(status: Iterable[Sequence[str]]) -> None:
    """Raises IndexDamaged unless the status lines tell of a good signature, and of no wrong one."""
    lines = list(status)
    seen = {words[0]: words[1:] for words in lines}
    hashes = set(_good_hashes(lines))
    if "BADSIG" in seen or not hashes:
        raise _damaged(seen)
    if hashes <= _WEAK:
        raise IndexDamaged("signed with a hash that can be forged (MD5, SHA1 or RIPEMD160)")


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
