"""Content Credentials: a signed C2PA manifest in a result, which says that a machine made the colours, and who vouches.

Needs the extra `credentials`; nothing of it is imported before it is used.
"""

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from photo.errors import TintypeError
from photo.formats import PhotoFormat
from photo.provenance import MACHINE_COLORED, Provenance
from photo.version import __version__

_PEM = {"metavar": "PEM", "type": Path | None}
ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
_MEDIA_TYPES = {
    PhotoFormat.JPEG: "image/jpeg",
    PhotoFormat.PNG: "image/png",
    PhotoFormat.TIFF: "image/tiff",
    PhotoFormat.WEBP: "image/webp",
}

# Nothing is fetched from a network, neither for what a file names nor for its certificates.
_SETTINGS: dict[str, Any] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}


@dataclass(frozen=True)
class Credentials:
    """Who vouches for a result: a certificate of one's own, and its key.

        Credentials("museum.pem", "museum.key")

    Attributes:
        certificate: a PEM file: the certificate for signing claims, then those that vouch for it.
        key: a PEM file: its private key (PKCS#8), without a password.
        algorithm: of the signature: es256, es384, es512, ps256, ps384, ps512 or ed25519.

    Raises:
        ValueError: for a value that can never work.
    """

    certificate: str | os.PathLike[str] | None = field(
        default=None, metadata={"help": "Sign results (C2PA) with this certificate chain.", **_PEM}
    )
    key: str | os.PathLike[str] | None = field(
        default=None, metadata={"help": "Its private key.", "flag": "--certificate-key", **_PEM}
    )
    algorithm: str = field(
        default="es256",
        metadata={
            "help": "Of the signature, as the key's kind asks for. [default: es256]",
            "unset": True,
            "flag": "--certificate-algorithm",
            "choices": {name: name for name in ALGORITHMS},
        },
    )

    def __post_init__(self) -> None:
        if self.certificate is None or self.key is None:
            raise ValueError("expected a certificate and its key together, received only one of them")
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"expected an algorithm of {', '.join(ALGORITHMS)}, received {self.algorithm!r}")


def can_be_signed(format: PhotoFormat) -> bool:
    """Return whether a file of this kind can carry a manifest."""
    return format in _MEDIA_TYPES


def sign(data: bytes, format: PhotoFormat, credentials: Credentials, provenance: Provenance) -> bytes:
    """Return the file with a signed manifest in it.

    Args:
        data: the finished file: a byte that changes later breaks the signature.
        format: of it, one that `can_be_signed`.
        credentials: who vouches.
        provenance: of the colours.

    Raises:
        TintypeError: certificate or key cannot be used, or the extra is missing.
    """
    c2pa = _library()
    certificate, key = (_read(path) for path in (credentials.certificate, credentials.key))
    agent = {"name": "Tintype", "version": provenance.software.removeprefix("Tintype ")}
    action: dict[str, Any] = {"action": "c2pa.created", "digitalSourceType": MACHINE_COLORED, "softwareAgent": agent}
    if provenance.colored_at is not None:
        action["when"] = provenance.colored_at.isoformat()
    manifest = {
        "claim_generator_info": [{"name": "Tintype", "version": __version__}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }
    signed = io.BytesIO()
    try:
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(credentials.algorithm.encode(), certificate, key, None))
        with signer, c2pa.Builder(manifest, c2pa.Context.from_dict(_SETTINGS)) as builder:
            builder.sign(signer, _MEDIA_TYPES[format], io.BytesIO(data), signed)
    except c2pa.C2paError as error:
        raise TintypeError(
            f"cannot sign with {credentials.certificate} and {credentials.key} ({credentials.algorithm}): {error}"
        ) from error
    return signed.getvalue()


def check(credentials: Credentials | None) -> None:
    """Sign a picture of one pixel, so that what cannot sign is said once, before any photograph is coloured.

    Raises:
        TintypeError: as `sign`.
    """
    if credentials is None:
        return
    from PIL import Image

    pixel = io.BytesIO()
    Image.new("L", (1, 1)).save(pixel, "PNG")
    sign(pixel.getvalue(), PhotoFormat.PNG, credentials, Provenance())


def read_signature(data: bytes, format: PhotoFormat, trusted: bytes | None = None) -> tuple[str, str] | None:
    """Return what became of checking a file's manifest, and who signed it; None where it has none.

    Args:
        data: the file.
        format: of it.
        trusted: certificates of authorities, PEM; None trusts nobody, and whoever signed is named as they name
            themselves.

    Returns:
        "trusted", "valid" (by somebody unknown) or "invalid", and the signer's name.

    Raises:
        TintypeError: the extra is missing.
    """
    if not can_be_signed(format):
        return None
    c2pa = _library()
    settings = _SETTINGS if trusted is None else _SETTINGS | {"trust": {"trust_anchors": trusted.decode()}}
    try:
        reader = c2pa.Reader.try_create(
            _MEDIA_TYPES[format], io.BytesIO(data), context=c2pa.Context.from_dict(settings)
        )
        if reader is None:
            return None
        with reader:
            signature = (reader.get_active_manifest() or {}).get("signature_info", {})
            return str(reader.get_validation_state()).lower(), str(signature.get("issuer", ""))
    except c2pa.C2paError:
        return "invalid", ""


def _library() -> Any:
    try:
        import c2pa
    except ImportError as error:
        raise TintypeError(
            "Content Credentials need c2pa-python: pip install '.[credentials]' in a clone of Tintype"
        ) from error
    return c2pa


def _read(path: str | os.PathLike[str] | None) -> bytes:
    try:
        return Path(path or "").read_bytes()
    except OSError as error:
        raise TintypeError(f"cannot read {path}: {error.strerror or error}") from error
