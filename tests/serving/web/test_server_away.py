"""The model server ends while a job runs: no photograph waits for it in vain, and all are coloured when it is back."""

import grpc
import pytest

DOWN, MANY = (grpc.StatusCode.UNAVAILABLE, "down"), 10_000


def test_photos_that_wait_fail_together_and_are_coloured_when_it_is_back(gateway, jpeg):
    gateway.client.get("/readyz")
    gateway.model_server.failures.extend([DOWN] * MANY)
    job = gateway.client.post("/api/jobs", files=[("photo", (f"{n}.jpg", jpeg)) for n in range(8)]).json()["id"]
    photos = gateway.job_when_done(job)["photos"]  # waits for less than the time of one photo's answer
    assert {photo["problem"]["type"] for photo in photos} == {"/docs#problem-server-away"}
    # Those that were asked for found it out; the others were not even tried.
    assert MANY - len(gateway.model_server.failures) < 8 * 5
    gateway.model_server.failures.clear()
    while gateway.client.post(f"/api/jobs/{job}/retry").status_code == 503:
        pass
    assert {photo["state"] for photo in gateway.job_when_done(job)["photos"]} == {"done"}


@pytest.mark.parametrize("path", ["/api/colorize", "/api/jobs"])
def test_a_server_without_room_for_a_moment_is_asked_again(gateway, jpeg, path):
    gateway.client.get("/readyz")
    gateway.model_server.failures.extend([DOWN] * 7)  # more than the client tries by itself
    answer = gateway.client.post(path, content=jpeg)
    if path == "/api/jobs":
        assert gateway.job_when_done(answer.json()["id"])["photos"][0]["state"] == "done"
    else:
        assert answer.status_code == 200
