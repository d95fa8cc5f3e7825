import logging
import os
import re
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from serving.web.server import STOP_GRACE_SECONDS
from serving.web.settings import WebSettings
from tests.serving.web.conftest import running_gateway


def test_a_job_is_deleted_when_its_time_is_over_and_its_bytes_with_it(start_gateway, jpeg):
    gateway = start_gateway(keep_seconds=0.3, expiry_check_seconds=0.05)
    job = gateway.client.post("/api/jobs", content=jpeg).json()["id"]
    deadline = time.monotonic() + 20
    while "tintype_web_jobs 0.0" not in gateway.client.get("/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert gateway.client.get(f"/api/jobs/{job}").status_code == 404
    assert "tintype_web_held_bytes 0.0" in gateway.client.get("/metrics").text


def test_a_job_is_deleted_sooner_once_all_was_downloaded(start_gateway, jpeg):
    gateway = start_gateway(keep_after_download_seconds=0, expiry_check_seconds=0.05)
    job = gateway.client.post("/api/jobs", content=jpeg).json()["id"]
    gateway.job_when_done(job)
    gateway.client.get(f"/api/jobs/{job}/photos/0/image?side=64")  # shown, not downloaded
    assert gateway.client.get(f"/api/jobs/{job}").json()["expires_in"] > 1000
    gateway.client.get(f"/api/jobs/{job}/photos/0/image?download=true")
    deadline = time.monotonic() + 20
    while "tintype_web_jobs 0.0" not in gateway.client.get("/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_job_stays_while_it_is_worked_on_sent_to_or_asked_for(start_gateway, jpeg):
    gateway = start_gateway(keep_seconds=0.1, expiry_check_seconds=0.02)
    gateway.client.get("/readyz")
    gateway.model_server.released.clear()
    job = gateway.client.post("/api/jobs", content=jpeg).json()["id"]
    time.sleep(0.3)

    def slowly():
        yield jpeg[:1000]
        gateway.model_server.released.set()
        time.sleep(0.4)
        yield jpeg[1000:]

    assert gateway.client.post(f"/api/jobs/{job}/photos", content=slowly()).status_code == 202
    kept = start_gateway()
    job = kept.client.post("/api/jobs", content=jpeg).json()["id"]
    expires_in = kept.job_when_done(job)["expires_in"]
    time.sleep(0.7)
    assert kept.client.get(f"/api/jobs/{job}").json()["expires_in"] == expires_in


def test_only_a_download_of_every_photo_makes_a_job_go_sooner_and_a_zip_is_one(gateway, jpeg):
    job = gateway.client.post("/api/jobs", files=[("photo", ("a.jpg", jpeg))] * 2).json()["id"]
    gateway.job_when_done(job)
    gateway.client.get(f"/api/jobs/{job}/photos/1/image?download=true")
    assert gateway.client.get(f"/api/jobs/{job}").json()["expires_in"] > 1000
    gateway.client.get(f"/api/jobs/{job}/photos.zip")
    assert gateway.client.get(f"/api/jobs/{job}").json()["expires_in"] <= 300


def test_a_single_photo_can_be_deleted_and_releases_its_bytes(gateway, jpeg):
    job = gateway.client.post("/api/jobs", files=[("photo", ("a.jpg", jpeg)), ("photo", ("b.jpg", jpeg))]).json()["id"]
    gateway.job_when_done(job)
    for number in (0, 1):
        assert gateway.client.delete(f"/api/jobs/{job}/photos/{number}").status_code == 204
        assert gateway.client.get(f"/api/jobs/{job}/photos/{number}/image").status_code == 404
        assert len(gateway.client.get(f"/api/jobs/{job}").json()["photos"]) == 1 - number
    assert "tintype_web_held_bytes 0.0" in gateway.client.get("/metrics").text


def test_deleting_is_at_once_and_releases_every_byte(gateway, jpeg):
    job = gateway.client.post("/api/jobs", content=jpeg).json()["id"]
    gateway.job_when_done(job)
    assert "tintype_web_held_bytes 0.0" not in gateway.client.get("/metrics").text
    assert gateway.client.delete(f"/api/jobs/{job}").status_code == 204
    assert gateway.client.get(f"/api/jobs/{job}/photos/0/image").status_code == 404
    assert "tintype_web_held_bytes 0.0" in gateway.client.get("/metrics").text


def test_photos_have_no_name_on_disk_and_stand_in_no_log(gateway, jpeg, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    answer = gateway.client.post("/api/jobs", files={"photo": ("../../secret grandmother.jpg", jpeg)})
    job = answer.json()["id"]
    [photo] = gateway.job_when_done(job)["photos"]
    assert photo["name"] == "secret grandmother.jpg"
    gateway.client.get(f"/api/jobs/{job}/photos/0/image")
    held = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert any(target.startswith(str(tmp_path)) and target.endswith("(deleted)") for target in held)
    assert not list(tmp_path.iterdir())
    own = [record.getMessage() for record in caplog.records if record.name.startswith("serving")]
    assert any("/api/jobs/{job_id}" in line for line in own)
    assert not any(job in line or "grandmother" in line for line in own)
    assert job not in gateway.client.get("/metrics").text


def test_job_ids_are_long_random_and_never_the_same(gateway, jpeg):
    ids = {gateway.client.post("/api/jobs", content=jpeg).json()["id"] for _ in range(10)}
    assert len(ids) == 10
    assert all(re.fullmatch(r"[\w-]{32}", job_id) for job_id in ids)
    # No counter, clock or address: chance decides at every place, with 64 characters to choose from.
    assert min(len(set(at_one_place)) for at_one_place in zip(*ids, strict=True)) >= 4
    assert len({*"".join(ids)}) > 50


def test_a_name_turns_no_writing_and_breaks_no_header(gateway, jpeg):
    name = "..%2Fa%22%0D%0ASet-Cookie: x=1; %E2%80%AEgpj.exe"
    answer = gateway.client.post("/api/colorize", content=jpeg, headers={"X-File-Name": name})
    assert "set-cookie" not in answer.headers
    disposition = answer.headers["content-disposition"]
    assert re.fullmatch(r"""attachment; filename="[\w.() -]+\.jpg"; filename\*=UTF-8''[\w.%-]+\.jpg""", disposition)
    job = gateway.client.post("/api/jobs", content=jpeg, headers={"X-File-Name": name}).json()
    assert job["photos"][0]["name"] == 'a"Set-Cookie: x=1; gpj.exe'


def test_the_headers_let_nothing_in_from_elsewhere(gateway):
    page = gateway.client.get("/")
    policy = page.headers["content-security-policy"]
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    for name in ("default-src", "base-uri", "form-action", "frame-ancestors", "trusted-types"):
        assert directives[name] == "'none'"
    for name in ("script-src", "style-src", "connect-src"):
        assert directives[name] == "'self'"
    assert directives["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in policy
    assert "http" not in policy
    assert {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "x-frame-options": "DENY",
    }.items() <= dict(page.headers).items()
    crossing = gateway.client.get("/api/about", headers={"Origin": "https://elsewhere.example"})
    assert not [name for name in crossing.headers if name.startswith("access-control")]
    assert "sandbox" in crossing.headers["content-security-policy"]
    assert crossing.headers["cache-control"] == "no-store"
    for path in ("/", "/docs", "/static/page.js", "/static/page.css", "/static/docs.js"):
        assert not re.search(r"""(src|href|from|url)\s*[=(]?\s*["']?https?://""", gateway.client.get(path).text)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_cannot_make_a_browser_send_or_change_anything(gateway, jpeg, site):
    job = gateway.client.post("/api/jobs", content=jpeg, headers={"Sec-Fetch-Site": "same-origin"}).json()["id"]
    for method, path in (
        ("POST", "/api/colorize"),
        ("POST", "/api/jobs"),
        ("PATCH", f"/api/jobs/{job}/photos/0"),
        ("DELETE", f"/api/jobs/{job}/photos/0"),
        ("DELETE", f"/api/jobs/{job}"),
    ):
        answer = gateway.client.request(method, path, content=jpeg, headers={"Sec-Fetch-Site": site})
        assert (answer.status_code, answer.json()["type"]) == (403, "/docs#problem-cross-site")
    assert gateway.job_when_done(job)["photos"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://elsewhere.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("http://photos.lan:81", 403),
        ("http://photos.lan", 202),
    ],
)
def test_over_plain_http_the_origin_tells_another_sites_page(start_gateway, jpeg, origin, status):
    """Browsers say nothing of Sec-Fetch-Site to plain http on another machine."""
    gateway = start_gateway(allowed_hosts=("photos.lan",))
    headers = {"Host": "photos.lan:80", "Origin": origin}
    assert gateway.client.post("/api/jobs", content=jpeg, headers=headers).status_code == status


def test_only_known_names_lead_here(start_gateway, jpeg):
    gateway = start_gateway(allowed_hosts=("Photos.Example.org",))

    def status(host: str, path: str = "/api/about") -> int:
        return gateway.client.get(path, headers={"Host": host}).status_code

    for host in ("localhost:8080", "a.localhost", "127.0.0.1", "[::1]:80", "192.168.1.7:8080", "photos.example.org"):
        assert status(host) == 200
    for host in ("rebound.example:8080", "photos.example.org.evil.example", "localhost.evil.example", "[photos", ""):
        assert status(host) == 421
    assert status("rebound.example", "/") == 421
    assert status("gateway.internal", "/healthz") == 200
    answer = gateway.client.post("/api/colorize", content=jpeg, headers={"Host": "rebound.example"})
    assert answer.json()["type"] == "/docs#problem-wrong-host"
    assert start_gateway(allowed_hosts=("*",)).client.get("/", headers={"Host": "any.example"}).status_code == 200


def test_wrong_tokens_are_slowed_down_and_who_is_in_stays_in(start_gateway):
    token = "correct horse battery staple"
    gateway = start_gateway(access_token=token)
    right, wrong = ({"Authorization": f"Bearer {word}"} for word in (token, "wrong"))
    assert gateway.client.post("/api/session", headers=right).status_code == 204
    with httpx.Client(base_url=gateway.address) as stranger:
        answers = [stranger.get("/api/about", headers=wrong).status_code for _ in range(12)]
        assert answers == [401] * 10 + [429] * 2
        refused = stranger.get("/api/about", headers=right)  # it is not even looked at
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert stranger.get("/api/about").status_code == 401
        assert stranger.get("/healthz").status_code == 200
    assert gateway.client.get("/api/about").status_code == 200  # by the cookie


def test_an_access_token_is_asked_for_and_can_be_traded_for_a_cookie(start_gateway, jpeg):
    token = "correct horse battery staple"
    gateway = start_gateway(access_token=token)
    for path in ("/", "/docs", "/openapi.json", "/healthz"):  # the pages are drawn, whoever asks
        assert gateway.client.get(path).status_code == 200
    for answer in (
        gateway.client.post("/api/colorize", content=jpeg),
        gateway.client.get("/metrics"),
        gateway.client.get("/api/about", headers={"Authorization": "Bearer wrong"}),
        *(
            gateway.client.get("/api/about", headers={"Authorization": shown})
            for shown in ("Bearer", f"Bearer {token[:-1]}", f"Bearer {token}x", f"Basic {token}", token)
        ),
        gateway.client.get("/api/about", headers={"Cookie": f"tintype_access={token}"}),
        gateway.client.get("/api/about", headers={"Cookie": "tintype_access="}),
        gateway.client.get("/api/about", headers={"Cookie": "tintype_access=1"}),
    ):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    authorized = {"Authorization": f"Bearer {token}"}
    assert gateway.client.post("/api/colorize", content=jpeg, headers=authorized).status_code == 200
    session = gateway.client.post("/api/session", headers=authorized)
    assert all(word in session.headers["set-cookie"].lower() for word in ("httponly", "samesite=strict"))
    assert token not in session.headers["set-cookie"]
    assert gateway.client.get("/api/about").status_code == 200  # by the cookie
    gateway.client.cookies.clear()


def test_a_weak_access_token_is_refused():
    with pytest.raises(ValueError, match="at least 16 characters, received 4"):
        WebSettings(access_token="1234")


def test_a_bug_is_a_problem_with_every_header_and_what_it_says_stands_in_no_log(gateway, jpeg, monkeypatch, caplog):
    async def broken(*_, **__):
        raise ValueError("grandmother.jpg")

    monkeypatch.setattr("serving.web.bounded_colorizer.BoundedColorizer.colorize", broken)
    for _ in range(2):  # the second on a connection of its own
        answer = gateway.client.post("/api/colorize", content=jpeg)
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["connection"] == "close"
    assert "POST /api/colorize failed with ValueError" in caplog.text
    assert "in broken" in caplog.text
    assert "grandmother" not in caplog.text.replace('raise ValueError("grandmother.jpg")', "")


def test_a_job_whose_page_was_left_goes_in_a_moment_unless_somebody_asks_for_it(start_gateway, jpeg):
    gateway = start_gateway(expiry_check_seconds=0.05)
    job = gateway.client.post("/api/jobs", content=jpeg).json()["id"]
    gateway.job_when_done(job)
    assert gateway.client.delete(f"/api/jobs/{job}?unless_asked_for=60").status_code == 204
    assert gateway.client.get(f"/api/jobs/{job}").json()["expires_in"] > 1000  # it was asked for
    gateway.client.delete(f"/api/jobs/{job}?unless_asked_for=0")
    deadline = time.monotonic() + 20
    while "tintype_web_jobs 0.0" not in gateway.client.get("/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_gateway_that_is_stopped_waits_for_nobody_who_only_follows_a_job(jpeg):
    with ExitStack() as stack:
        with running_gateway() as gateway:
            gateway.client.get("/readyz")
            gateway.model_server.released.clear()
            job = gateway.client.post("/api/jobs", content=jpeg).json()["id"]
            other = stack.enter_context(httpx.Client(base_url=gateway.address))
            events = stack.enter_context(other.stream("GET", f"/api/jobs/{job}/events"))
            lines = events.iter_lines()
            next(lines)
            began = time.monotonic()
        assert [*lines][-1] == ""  # it was ended, not cut off
    assert time.monotonic() - began < STOP_GRACE_SECONDS
