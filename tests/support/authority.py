"""Certificates with which a farm and an engine know each other, made for a test."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = timedelta(days=1)


class Authority:
    """One that vouches for others; its own certificate is `ca.pem` in its folder."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir()
        self.folder, self.ca = folder, folder / "ca.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        basic = x509.BasicConstraints(ca=True, path_length=0)
        made = _begun(self._name, self._name, self._key.public_key()).add_extension(basic, critical=True)
        _write(self.ca, made.sign(self._key, hashes.SHA256()))

    def server(self, name: str, address: str) -> tuple[Path, Path]:
        """Certificate and key of an engine at an IP address."""
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        return self._made(name, ExtendedKeyUsageOID.SERVER_AUTH, names)

    def client(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of a farm."""
        return self._made(name, ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def tls(self, name: str) -> dict[str, str]:
        """A farm's own, as kmodci.yml says it."""
        cert, key = self.client(name)
        return {"ca": str(self.ca), "cert": str(cert), "key": str(key)}

    def _made(
        self, name: str, usage: x509.ObjectIdentifier, names: x509.SubjectAlternativeName | None
    ) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        made = _begun(_named(name), self._name, key.public_key())
        made = made.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names is not None:
            made = made.add_extension(names, critical=False)
        cert_at, key_at = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        _write(cert_at, made.sign(self._key, hashes.SHA256()))
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        key_at.write_bytes(key.private_bytes(*form))
        key_at.chmod(0o600)
        return cert_at, key_at


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return made.serial_number(x509.random_serial_number()).not_valid_before(now - _DAY).not_valid_after(now + 2 * _DAY)


def _write(path: Path, made: x509.Certificate) -> None:
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
