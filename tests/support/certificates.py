"""Certificates for servers on the loopback address."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Certificate(NamedTuple):
    """Files in PEM."""

    certificate: Path
    key: Path


def self_signed(folder: Path, address: str = "127.0.0.1") -> Certificate:
    """A certificate that is its own authority, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _builder(address, key).issuer_name(_name(address)).add_extension(_basic(ca=True), critical=True)
    return _written(folder, "certificate", certificate.sign(key, hashes.SHA256()), key)


def by_private_authority(folder: Path, address: str = "127.0.0.1") -> tuple[Path, Certificate]:
    """The certificate of an authority that no system trusts, and one that it has issued; good for a day."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _builder("Plant CA", root_key).issuer_name(_name("Plant CA")).add_extension(_basic(ca=True), critical=True)
    issued = _builder(address, key).issuer_name(_name("Plant CA")).add_extension(_basic(ca=False), critical=True)
    authority = _written(folder, "authority", root.sign(root_key, hashes.SHA256()), root_key)
    return authority.certificate, _written(folder, "issued", issued.sign(root_key, hashes.SHA256()), key)


def _name(of: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, of)])


def _basic(*, ca: bool) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=ca, path_length=None)


def _builder(of: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(of))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
    if of[0].isdigit():
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(of))])
        builder = builder.add_extension(names, critical=False)
    return builder


def _written(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Certificate:
    result = Certificate(folder / f"{name}.pem", folder / f"{'key' if name == 'certificate' else f'{name}-key'}.pem")
    result.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    result.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return result
