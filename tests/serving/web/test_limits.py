import io
import socket
import struct
import threading
import time
import zipfile
import zlib
from contextlib import ExitStack

import numpy as np
import pytest

from photo.encoding import encode_photo
from serving.web.settings import Limits


def _archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.class", "x")
    return out.getvalue()


def _png_bomb(side: int) -> bytes:
    """A PNG whose header claims side x side pixels, all zero: small to send, large to decode."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (lambda jpeg: b"", 422),
        (lambda jpeg: jpeg[: len(jpeg) // 2], 422),
        (lambda jpeg: jpeg[:20], 422),
        (lambda jpeg: _png_bomb(60_000), 422),
        (lambda jpeg: b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x10\x00\x00\x00" + b"\xff" * 6, 422),
        (lambda jpeg: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', 415),
        (lambda jpeg: b"<!doctype html><html></html>", 415),
        (lambda jpeg: b"GIF89a" + bytes(100), 422),
        (lambda jpeg: b"\x7fELF" + bytes(1000), 415),
        (lambda jpeg: jpeg + _archive(), 415),
        (lambda jpeg: jpeg + b"<html><script>alert(document.domain)</script>", 415),
        (lambda jpeg: jpeg[:2] + b"\xff\xfe\x00\x30<!DOCTYPE html><script >alert('x')//" + bytes(12) + jpeg[2:], 415),
        (lambda jpeg: jpeg[:2] + b"\xff\xfe\x00\x0c%PDF-1.7\n\n" + jpeg[2:], 415),
        (lambda jpeg: jpeg + bytes((1 << 20) - len(jpeg) - 5) + b"<iframe src=//example.org>", 415),
    ],
    ids=[
        "empty",
        "truncated",
        "beginning",
        "png-bomb",
        "webp-bomb",
        "svg",
        "html",
        "gif",
        "elf",
        "jpeg+zip",
        "jpeg+html",
        "html-in-jpeg",
        "jpeg+pdf",
        "jpeg+markup-later",
    ],
)
def test_what_is_no_photo_is_refused_with_what_to_do(gateway, jpeg, body, status):
    answer = gateway.client.post("/api/colorize", content=body(jpeg), headers={"Content-Type": "image/jpeg"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["detail"].endswith(".")
    assert gateway.client.post("/api/colorize", content=jpeg).status_code == 200


def test_photos_with_a_video_or_a_preview_behind_them_are_photos(gateway, jpeg):
    """Phones append such things."""
    noise = np.random.default_rng(0).bytes(3_000_000)
    assert gateway.client.post("/api/colorize", content=jpeg + b"\0\0\0\x18ftypmp42" + noise).status_code == 200
    assert gateway.client.post("/api/colorize", content=jpeg + jpeg).status_code == 200


def test_bytes_pixels_and_photos_over_the_limits_are_refused(start_gateway, gray, jpeg):
    gateway = start_gateway(Limits(photo_bytes=len(jpeg), pixels=gray.shape[0] * gray.shape[1], photos=2))
    assert gateway.client.post("/api/colorize", content=jpeg).status_code == 200
    too_large = gateway.client.post("/api/colorize", content=jpeg + b"\0")
    assert (too_large.status_code, too_large.headers["connection"]) == (413, "close")
    chunks = gateway.client.post("/api/colorize", content=(jpeg[:1000] for _ in range(100)))
    assert chunks.status_code == 413
    wide = encode_photo(np.zeros((1, gray.shape[0] * gray.shape[1] + 1, 3), np.uint8), "PNG")
    assert gateway.client.post("/api/colorize", content=wide).status_code == 422
    files = [("photo", ("a.png", encode_photo(gray[:8, :8], "PNG")))] * 3
    assert gateway.client.post("/api/jobs", files=files).status_code == 422
    job = gateway.client.post("/api/jobs", files=[files[0], ("photo", ("b.jpg", jpeg + b"\0"))]).json()
    assert [photo["state"] for photo in gateway.job_when_done(job["id"])["photos"]] == ["done", "failed"]
    assert gateway.client.post(f"/api/jobs/{job['id']}/photos", content=jpeg).status_code == 422
    job = gateway.client.post("/api/jobs", files=files[:1]).json()
    assert gateway.client.post(f"/api/jobs/{job['id']}/photos", files=files[:2]).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\nContent-Disposition: form-data; name=photo; filename=a\r\n\r\nabc",
        b"--y\r\n\r\n",
        b"--x--\r\n",
        b"--x\r\nContent-Disposition: form-data; name=strength\r\n\r\n1\r\n--x--\r\n",
        b"--x\r\n" + b"A: " + b"b" * 100_000,
    ],
)
def test_malformed_forms_are_the_senders_fault(gateway, body):
    answer = gateway.client.post("/api/jobs", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code in (400, 422)
    assert "tintype_web_held_bytes 0.0" in gateway.client.get("/metrics").text


@pytest.mark.parametrize(
    "limits", [lambda jpeg: Limits(held_bytes=2 * len(jpeg)), lambda jpeg: Limits(jobs=1)], ids=["bytes", "jobs"]
)
def test_a_gateway_that_holds_all_it_may_is_busy_and_gives_back(start_gateway, jpeg, limits):
    gateway = start_gateway(limits(jpeg))
    job = gateway.client.post("/api/jobs", content=jpeg).json()["id"]
    gateway.job_when_done(job)
    refused = gateway.client.post("/api/jobs", files=[("photo", ("a.jpg", jpeg))] * 2)
    assert (refused.status_code, int(refused.headers["retry-after"]) >= 1) == (503, True)
    gateway.client.delete(f"/api/jobs/{job}")
    assert gateway.client.post("/api/jobs", content=jpeg).status_code == 202


def test_an_upload_that_never_ends_is_ended(start_gateway):
    impatient, brief = (
        start_gateway(limits).address.removeprefix("http://").split(":")
        for limits in (Limits(stall_seconds=0.3), Limits(upload_seconds=1.0))
    )
    head = b"POST /api/colorize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    with socket.create_connection(impatient, 10) as still:
        still.sendall(head + b"\xff\xd8\xff")
        assert b" 408 " in still.recv(4096)
    with socket.create_connection(brief) as dripping:
        dripping.sendall(head)
        started, answer = time.monotonic(), b""
        dripping.settimeout(0.1)
        while not answer and time.monotonic() < started + 10:
            dripping.sendall(b"\0")
            try:
                answer = dripping.recv(4096)
            except TimeoutError:
                continue
        assert b" 408 " in answer
    with socket.create_connection(impatient, 10) as headless:
        headless.sendall(b"POST /api/colorize HTTP/1.1\r\n")
        assert headless.recv(4096) == b""


def test_who_reads_only_after_sending_all_learns_why_it_was_refused(start_gateway):
    """As browsers do: a connection that is closed at once would be all they see."""
    gateway = start_gateway(Limits(photo_bytes=1000))
    host, port = gateway.address.removeprefix("http://").split(":")
    size = 12 * 2**20  # more than fits between the two
    with socket.create_connection((host, int(port)), 10) as browser:
        browser.sendall(f"POST /api/colorize HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode())
        browser.sendall(bytes(size))
        assert b" 413 " in browser.recv(4096)


def test_requests_beyond_the_limits_of_one_client_and_of_all_wait_for_nobody(start_gateway, jpeg):
    gateway = start_gateway(Limits(requests=3, requests_per_client=2), trusted_proxies=("127.0.0.1",))
    gateway.client.post("/api/colorize", content=jpeg)
    gateway.model_server.released.clear()

    def ask(address: str) -> None:
        gateway.client.post("/api/colorize", content=jpeg, headers={"X-Forwarded-For": address})

    threads = [threading.Thread(target=ask, args=(client,)) for client in ("10.0.0.1", "10.0.0.1", "10.0.0.2")]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while gateway.model_server.at_once < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert gateway.model_server.at_once == 3
    own = gateway.client.post("/api/colorize", content=jpeg, headers={"X-Forwarded-For": "10.0.0.1"})
    others = gateway.client.post("/api/colorize", content=jpeg, headers={"X-Forwarded-For": "10.0.0.3"})
    assert (own.status_code, others.status_code) == (429, 503)
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in (own, others))
    assert gateway.client.get("/healthz").status_code == 200
    gateway.model_server.released.set()
    for thread in threads:
        thread.join()
    assert gateway.client.post("/api/colorize", content=jpeg).status_code == 200


def test_streams_of_progress_are_bounded_by_themselves_and_a_household_is_one_client(start_gateway, jpeg):
    gateway = start_gateway(Limits(event_streams=3, event_streams_per_client=2), trusted_proxies=("127.0.0.1",))
    gateway.client.get("/readyz")
    gateway.model_server.released.clear()
    job = gateway.client.post("/api/jobs", content=jpeg).json()["id"]
    with ExitStack() as streams:

        def follow(address: str) -> int:
            headers = {"X-Forwarded-For": address}
            return streams.enter_context(
                gateway.client.stream("GET", f"/api/jobs/{job}/events", headers=headers)
            ).status_code

        running = [follow(address) for address in ("2001:db8::1", "2001:db8::2", "10.0.0.1")]
        assert running == [200, 200, 200]
        assert (follow("2001:db8::3"), follow("2001:db8:0:1::1")) == (429, 503)
        gateway.model_server.released.set()
        assert gateway.client.post("/api/colorize", content=jpeg).status_code == 200
