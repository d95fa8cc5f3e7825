"""Results are signed with a certificate chain made here, and checked with the library that others check them with."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from photo.coloring_options import ColoringOptions
from photo.credentials import Credentials, check, read_signature
from photo.decoding import decode_photo
from photo.encoding import ColoredPage, encode_colored_pages, encode_coloring
from photo.errors import TintypeError
from photo.formats import PhotoFormat
from photo.inspection import inspect_photo
from photo.metadata import Metadata
from photo.provenance import MACHINE_COLORED, Provenance

c2pa = pytest.importorskip("c2pa")

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.hazmat.primitives.hashes import SHA256  # noqa: E402
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: E402

RGB = np.dstack([np.full((40, 60), shade, np.uint8) for shade in (180, 120, 60)])
PROVENANCE = Provenance("f00dcafe", datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC))
SIGNED = [PhotoFormat.JPEG, PhotoFormat.PNG, PhotoFormat.TIFF, PhotoFormat.WEBP]


def certificate(name: str, key, issuer: str, issuer_key, *, is_authority: bool) -> bytes:
    """A certificate as C2PA asks for it, in PEM form."""

    def named(common_name: str) -> x509.Name:
        organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"{common_name} of Example Museum")
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name), organization])

    now = datetime.now(UTC)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
         "decipher_only"), False,
    )  # fmt: skip
    usage |= {"digital_signature": not is_authority, "key_cert_sign": is_authority, "crl_sign": is_authority}
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not is_authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer_key, SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority_and_credentials(tmp_path_factory) -> tuple[bytes, Credentials]:
    folder = tmp_path_factory.mktemp("certificates")
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = certificate("Root", authority_key, "Root", authority_key, is_authority=True)
    chain = certificate("Signer", key, "Root", authority_key, is_authority=False) + authority
    (folder / "chain.pem").write_bytes(chain)
    pem, pkcs8, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, plain))
    return authority, Credentials(folder / "chain.pem", folder / "key.pem")


@pytest.mark.parametrize("format", SIGNED)
def test_a_signed_result_is_trusted_and_says_that_a_machine_made_the_colours(format, authority_and_credentials):
    authority, credentials = authority_and_credentials
    options = ColoringOptions(credentials=credentials)
    result = encode_coloring(RGB, format, Metadata(), options, PROVENANCE)
    assert result.notes == ()
    assert read_signature(result.data, format, authority) == ("trusted", "Signer of Example Museum")
    media_type = f"image/{format.lower()}"
    with c2pa.Reader(media_type, io.BytesIO(result.data)) as reader:
        [actions] = [each for each in reader.get_active_manifest()["assertions"] if "actions" in each["label"]]
    [action] = actions["data"]["actions"]
    assert action["digitalSourceType"] == MACHINE_COLORED
    assert action["softwareAgent"]["version"].endswith("model f00dcafe")
    found = inspect_photo(result.data)
    assert (found.signature, found.signed_by) == ("valid", "Signer of Example Museum")
    assert (found.is_machine_colored, found.model_fingerprint) == (True, "f00dcafe")
    np.testing.assert_array_equal(inspect_photo(result.data).width, 60)


@pytest.mark.parametrize("format", SIGNED)
def test_a_change_after_signing_is_seen(format, authority_and_credentials):
    authority, credentials = authority_and_credentials
    options = ColoringOptions(credentials=credentials)
    data = encode_coloring(RGB, format, Metadata(comment=b"box 7", exif=None), options, PROVENANCE).data
    changed = data.replace(b"f00dcafe</xmp", b"0badcafe</xmp")
    assert changed != data
    assert read_signature(changed, format, authority)[0] == "invalid"


@pytest.mark.parametrize("format", SIGNED)
def test_a_manifest_of_the_photograph_s_own_is_named_and_does_not_come_along(format, authority_and_credentials):
    _, credentials = authority_and_credentials
    signed = encode_coloring(RGB, format, Metadata(), ColoringOptions(credentials=credentials), PROVENANCE).data
    photo = decode_photo(signed)
    result = encode_coloring(photo.rgb, format, photo.metadata, ColoringOptions(), PROVENANCE)
    assert any("Content Credentials" in note for note in result.notes)
    assert read_signature(result.data, format) is None


def test_the_pages_of_a_tiff_are_signed_together(authority_and_credentials):
    authority, credentials = authority_and_credentials
    pages = [ColoredPage(RGB, Metadata()), ColoredPage(RGB[:20], Metadata())]
    data = encode_colored_pages(pages, ColoringOptions(credentials=credentials), PROVENANCE).data
    assert read_signature(data, PhotoFormat.TIFF, authority)[0] == "trusted"


def test_what_is_not_signed_says_so(authority_and_credentials):
    _, credentials = authority_and_credentials
    result = encode_coloring(RGB, PhotoFormat.BMP, Metadata(), ColoringOptions(credentials=credentials), PROVENANCE)
    assert "the signature" in result.notes[-1]
    plain = encode_coloring(RGB, PhotoFormat.PNG, Metadata(), ColoringOptions(), PROVENANCE).data
    assert read_signature(plain, PhotoFormat.PNG) is None
    assert inspect_photo(plain).signature == "none"


def test_what_cannot_sign_is_named(authority_and_credentials, tmp_path):
    _, credentials = authority_and_credentials
    check(credentials)
    check(None)
    (tmp_path / "wrong.pem").write_text("no certificate")
    for wrong, words in (
        (replace(credentials, certificate=tmp_path / "none.pem"), "cannot read .*none.pem"),
        (replace(credentials, certificate=tmp_path / "wrong.pem"), "cannot sign with .*wrong.pem"),
        (replace(credentials, key=tmp_path / "wrong.pem"), "cannot sign with .*wrong.pem"),
        (replace(credentials, algorithm="ed25519"), "cannot sign with"),
    ):
        with pytest.raises(TintypeError, match=words):
            check(wrong)
        with pytest.raises(TintypeError, match=words):
            encode_coloring(RGB, PhotoFormat.PNG, Metadata(), ColoringOptions(credentials=wrong), PROVENANCE)


def test_a_certificate_and_its_key_belong_together(tmp_path):
    with pytest.raises(ValueError, match="certificate and its key together"):
        Credentials(certificate=tmp_path / "chain.pem")
    with pytest.raises(ValueError, match="expected an algorithm of es256"):
        Credentials(tmp_path / "a", tmp_path / "b", "rsa")
