"""The configuration for nginx, run by the real nginx on free ports."""

import json
import re
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

import serving.web
from benchmarks.free_port import free_port
from photo.encoding import encode_photo
from serving.web.settings import Limits
from tests.external_tools import NGINX

CONFIGURATION = Path(serving.web.__file__).with_name("nginx.conf")

pytestmark = pytest.mark.nginx


@contextmanager
def nginx_before(gateway_address: str, folder: Path):
    """Run nginx with the shipped file, in which only the ports and places are others; yields an HTTPS client."""
    assert NGINX is not None
    ports = [free_port(), free_port()]
    certificate, key = folder / "nginx.pem", folder / "nginx.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=photos.example.org",
         "-addext", "subjectAltName=DNS:photos.example.org,DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    places = {
        "server 127.0.0.1:8080;": f"server {gateway_address.removeprefix('http://')};",
        "listen 80;": f"listen 127.0.0.1:{ports[0]};",
        "listen 443 ssl": f"listen 127.0.0.1:{ports[1]} ssl",
        "/etc/ssl/certs/photos.example.org.pem": str(certificate),
        "/etc/ssl/private/photos.example.org.key": str(key),
        "/var/log/nginx/tintype.log": str(folder / "access.log"),
    }
    site = CONFIGURATION.read_text()
    for shipped, here in places.items():
        assert site.count(shipped) == 1, shipped
        site = site.replace(shipped, here)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "site.conf").write_text(site)
    (folder / "nginx.conf").write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log warn;\nworker_processes 1;\n"
        f"events {{}}\nhttp {{\n{temporary}include {folder}/site.conf;\n}}\n"
    )
    command = [NGINX, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    process = subprocess.Popen(command)
    trusted = ssl.create_default_context(cafile=str(certificate))
    try:
        _wait_for(ports[1])
        with httpx.Client(base_url=f"https://localhost:{ports[1]}", verify=trusted, timeout=30) as client:
            client.plain_port, client.trusted = ports[0], trusted
            yield client
    finally:
        process.terminate()
        process.wait(30)


def test_a_job_runs_through_nginx_over_tls(start_gateway, jpeg, tmp_path):
    gateway = start_gateway(trusted_proxies=("127.0.0.1",))
    with nginx_before(gateway.address, tmp_path) as client:
        redirected = httpx.get(f"http://localhost:{client.plain_port}/docs", headers={"Host": "photos.example.org"})
        assert (redirected.status_code, redirected.headers["location"]) == (301, "https://photos.example.org/docs")
        page = client.get("/")
        assert page.status_code == 200
        assert page.headers["strict-transport-security"]
        assert page.headers["content-security-policy"]
        assert client.post("/api/colorize?mark_metadata=false", content=jpeg).content == gateway.client.post(
            "/api/colorize?mark_metadata=false", content=jpeg
        ).content  # fmt: skip

        # Events come one by one, while the job still runs.
        gateway.model_server.released.clear()
        job = client.post("/api/jobs", content=jpeg).json()["id"]
        with client.stream("GET", f"/api/jobs/{job}/events") as events:
            documents = (json.loads(line[6:]) for line in events.iter_lines() if line.startswith("data: "))
            first = next(documents)
            assert first["state"] == "working"
            threading.Timer(0.2, gateway.model_server.released.set).start()
            assert [*documents][-1]["state"] == "done"
        assert client.get(f"/api/jobs/{job}/photos.zip").content.startswith(b"PK")
        log = (tmp_path / "access.log").read_text()
        assert job not in log
        assert re.search(r'"GET /api/jobs/\.\.\." 200', log)


def test_nginx_refuses_bodies_and_rates_over_its_limits_with_problems(start_gateway, jpeg, tmp_path):
    gateway = start_gateway(Limits(photo_bytes=100 * 2**20, requests_per_client=64), trusted_proxies=("127.0.0.1",))
    with nginx_before(gateway.address, tmp_path) as client:
        large = client.post("/api/colorize", content=bytes(42 * 2**20))
        assert (large.status_code, large.headers["content-type"]) == (413, "application/problem+json")
        assert large.json()["title"]
        with ThreadPoolExecutor(30) as threads:
            statuses = list(threads.map(lambda _: client.get("/healthz").status_code, range(400)))
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 100
        time.sleep(0.5)
        assert client.get("/healthz").status_code == 200


def test_nginx_slows_uploads_down_and_bounds_the_connections_of_one_client(start_gateway, jpeg, tmp_path):
    limits = Limits(event_streams_per_client=100, requests_per_client=100)
    gateway = start_gateway(limits, trusted_proxies=("127.0.0.1",))
    gateway.client.get("/readyz")
    gateway.model_server.released.clear()
    job = gateway.client.post("/api/jobs", content=jpeg).json()["id"]
    with nginx_before(gateway.address, tmp_path) as client, ExitStack() as streams:
        started = time.monotonic()
        for _ in range(3):
            assert client.post("/api/session").status_code == 204
        assert time.monotonic() - started > 0.8  # two a second; a slow machine only makes it longer
        statuses = [
            streams.enter_context(client.stream("GET", f"/api/jobs/{job}/events")).status_code for _ in range(34)
        ]
        assert statuses == [200] * 32 + [429] * 2


def test_nothing_of_a_photo_is_written_to_nginx_own_files(start_gateway, gray, tmp_path):
    gateway = start_gateway(trusted_proxies=("127.0.0.1",))
    large = encode_photo(np.tile(gray, (6, 6, 1)), "TIFF")
    with nginx_before(gateway.address, tmp_path) as client:
        narrow = httpx.HTTPTransport(
            verify=client.trusted, socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)]
        )
        with (
            httpx.Client(transport=narrow, base_url=client.base_url, timeout=30) as slow,
            slow.stream("POST", "/api/colorize", content=large) as answer,
        ):
            assert int(answer.headers["content-length"]) > 6e6
            time.sleep(0.5)  # without reading it
    # It warns of what it writes there, or complains that it may not.
    assert not re.search(r"temporary file|/(proxy|client_body)/", (tmp_path / "error.log").read_text())


def test_behind_nginx_the_cookie_is_for_https_alone_and_the_figures_are_for_the_machine_itself(start_gateway, tmp_path):
    token = "correct horse battery staple"
    gateway = start_gateway(access_token=token, trusted_proxies=("127.0.0.1",))
    authorized = {"Authorization": f"Bearer {token}"}
    assert "secure" not in gateway.client.post("/api/session", headers=authorized).headers["set-cookie"].lower()
    with nginx_before(gateway.address, tmp_path) as client:
        assert "secure" in client.post("/api/session", headers=authorized).headers["set-cookie"].lower()
        assert client.get("/metrics", headers=authorized).status_code == 200
        other_address = httpx.HTTPTransport(verify=client.trusted, local_address="127.0.0.2")
        with httpx.Client(transport=other_address, base_url=client.base_url, headers=authorized) as elsewhere:
            assert elsewhere.get("/api/about").status_code == 200
            assert elsewhere.get("/metrics").status_code == 403


def test_the_gateway_counts_the_clients_and_not_nginx(start_gateway, jpeg, tmp_path):
    gateway = start_gateway(Limits(requests_per_client=1), trusted_proxies=("127.0.0.1",))
    with nginx_before(gateway.address, tmp_path) as client:
        gateway.client.post("/api/colorize", content=jpeg)
        gateway.model_server.released.clear()
        running = threading.Thread(target=client.post, args=("/api/colorize",), kwargs={"content": jpeg})
        running.start()
        while not gateway.model_server.at_once:
            time.sleep(0.01)
        # Who writes the header itself gains nothing: nginx puts the true address there.
        spoofed = client.post("/api/colorize", content=jpeg, headers={"X-Forwarded-For": "10.9.9.9"})
        assert spoofed.status_code == 429
        gateway.model_server.released.set()
        running.join()


def test_while_the_gateway_is_away_nginx_says_so_in_the_pages_words(tmp_path):
    with nginx_before(f"127.0.0.1:{free_port()}", tmp_path) as client:
        answer = client.get("/api/about")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert answer.json()["retryable"] is True
        assert int(answer.headers["retry-after"]) > 0


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "nginx did not start"
            time.sleep(0.05)
