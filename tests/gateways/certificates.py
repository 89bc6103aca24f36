"""A certificate authority of a company's own, and what it signs for this machine."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: the authority's certificate, and a server's chain with its key."""

    authority: Path
    chain: Path
    key: Path


def make_certificates(
    folder: Path, *, names: tuple[str, ...] = ("localhost",), expired: bool = False
) -> Certificates:
    """A new authority, and a certificate for 127.0.0.1, ::1 and these names."""
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A company's own authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    now = datetime.now(UTC)
    began, ends = now - timedelta(days=9), now + timedelta(days=9)

    authority = (
        _builder(issuer, issuer, authority_key.public_key(), began, ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(authority_key, SHA256())
    )
    addresses = [x509.IPAddress(ipaddress.ip_address(each)) for each in ("127.0.0.1", "::1")]
    known_as = x509.SubjectAlternativeName([*addresses, *(x509.DNSName(name) for name in names)])
    server = (
        _builder(issuer, subject, server_key.public_key(), began, now - timedelta(days=1) if expired else ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(known_as, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, SHA256())
    )

    files = Certificates(folder / "authority.pem", folder / "chain.pem", folder / "key.pem")
    files.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    files.chain.write_bytes(server.public_bytes(Encoding.PEM))
    files.key.write_bytes(server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, began: datetime, ends: datetime
) -> x509.CertificateBuilder:
    number = x509.random_serial_number()
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(number)
        .not_valid_before(began)
        .not_valid_after(ends)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
