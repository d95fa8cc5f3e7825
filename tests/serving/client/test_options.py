import datetime
import ipaddress
from pathlib import Path

import grpc
import numpy as np
import pytest

from photo.errors import ServerUnavailable, TintypeError
from serving.client import Colorizer, Keepalive, Retry, Tls
from serving.client.options import ConnectionOptions
from tests.serving.wire_server import WireServer, running


def test_pauses_double_up_to_the_longest_and_are_spread_over_all_of_it():
    retry = Retry(first_pause=0.1, longest_pause=1.0)
    for failures, longest in ((1, 0.1), (2, 0.2), (4, 0.8), (5, 1.0), (5000, 1.0)):
        pauses = np.array([retry.pause(failures) for _ in range(400)])
        assert 0 <= pauses.min() < 0.1 * longest
        assert 0.9 * longest < pauses.max() <= longest
        assert pauses.mean() == pytest.approx(longest / 2, rel=0.2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Retry(first_pause=0), "first_pause"),
        (lambda: Retry(first_pause=2, longest_pause=1), "longest_pause"),
        (lambda: Retry(max_attempts=0), "max_attempts"),
        (lambda: Keepalive(interval=0), "interval"),
        (lambda: Tls(client_cert="me.pem"), "client_key"),
    ],
)
def test_a_setting_that_cannot_work_is_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        wrong()


@pytest.fixture(scope="module")
def pem(tmp_path_factory) -> dict[str, Path]:
    """An authority, and certificates of it for the server localhost and for a client."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("pem")
    now = datetime.datetime.now(datetime.UTC)
    files: dict[str, Path] = {}
    authority = None
    for name in ("ca", "server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"tintype test {name}")])
        signer, signing_key = authority or (subject, key)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
                ),
                critical=False,
            )
            .sign(signing_key, hashes.SHA256())
        )
        authority = authority or (subject, key)
        contents = {
            name: certificate.public_bytes(serialization.Encoding.PEM),
            f"{name}_key": key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        }
        for file, content in contents.items():
            files[file] = folder / f"{file}.pem"
            files[file].write_bytes(content)
    return files


def server_credentials(pem, *, mutual: bool) -> grpc.ServerCredentials:
    own = [(pem["server_key"].read_bytes(), pem["server"].read_bytes())]
    return grpc.ssl_server_credentials(own, pem["ca"].read_bytes() if mutual else None, mutual)


def test_tls_is_spoken_with_a_server_of_our_authority(pem):
    with running(WireServer(), server_credentials(pem, mutual=False)) as served:
        with Colorizer(served.address, ConnectionOptions(tls=Tls(pem["ca"]), token="secret", timeout=10)) as colorizer:
            assert colorizer.describe().size == 32
        assert served.metadata[0]["authorization"] == "Bearer secret"
        for wrong in (Tls(), Tls(pem["client"]), Tls(pem["ca"], server_name="elsewhere.org"), None):
            advice = r"0\.3 s \(over TLS: .*ca_cert" if wrong else r"0\.3 s"
            with (
                Colorizer(served.address, ConnectionOptions(tls=wrong, timeout=0.3)) as colorizer,
                pytest.raises(ServerUnavailable, match=advice),
            ):
                colorizer.describe()


def test_mutual_tls_shows_the_clients_certificate(pem):
    with running(WireServer(), server_credentials(pem, mutual=True)) as served:
        with Colorizer(
            served.address, ConnectionOptions(tls=Tls(pem["ca"], pem["client"], pem["client_key"]), timeout=10)
        ) as colorizer:
            assert colorizer.describe().size == 32
        with (
            Colorizer(served.address, ConnectionOptions(tls=Tls(pem["ca"]), timeout=0.3)) as colorizer,
            pytest.raises(ServerUnavailable),
        ):
            colorizer.describe()


def test_a_file_that_is_no_certificate_or_no_key_of_it_is_named(pem, tmp_path):
    with pytest.raises(TintypeError, match=r"cannot read .*missing\.pem: No such file"):
        Colorizer(connection=ConnectionOptions(tls=Tls(tmp_path / "missing.pem")))
    with pytest.raises(TintypeError, match=r"ca_key\.pem holds no certificate"):
        Colorizer(connection=ConnectionOptions(tls=Tls(pem["ca_key"])))
    with pytest.raises(TintypeError, match=r"server_key\.pem is not the private key, .* of .*client\.pem"):
        Colorizer(connection=ConnectionOptions(tls=Tls(pem["ca"], pem["client"], pem["server_key"])))
