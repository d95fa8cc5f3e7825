import gc
import pickle
import shutil
import threading
import weakref
from pathlib import Path

import grpc
import numpy as np
import pytest

from photo.archives import FileEntry
from photo.coloring import prepare
from photo.metadata import Metadata
from serving.batch.elements import PreparedPhoto, Task
from serving.batch.model_in_worker import SavedModelHandler
from serving.batch.model_on_server import server_handler
from tests.serving.batch.conftest import SQUARE, quick
from tests.serving.wire_server import WireServer, running


def element(number: int) -> PreparedPhoto:
    gray = np.full((20, 30, 3), 100 + number, np.uint8)
    task = Task(FileEntry(f"{number}.png", "file", b"", 0), "", "", None)
    return PreparedPhoto(task, 0, "", prepare(gray, 32), Metadata(), None, (), 0.0)


class AttentiveServer(WireServer):
    """Remembers which version each request asked for."""

    def __post_init__(self):
        super().__post_init__()
        self.asked: list[int] = []

    def predict(self, request, context):
        self.asked.append(request.model_spec.version.value)
        return super().predict(request, context)


def test_every_request_asks_for_the_version_that_answered_when_the_job_was_made():
    with running(AttentiveServer(version=5)) as server:
        handler = server_handler(server.address, quick())
        server.version = 6  # a newer one takes over meanwhile
        list(handler.run_inference([element(0)], handler.load_model()))
        assert server.asked == [0, 5]  # 0: which is the newest?
    assert handler.identity().version == "5"


def test_a_worker_has_no_more_requests_open_than_it_may(wire_server):
    handler = server_handler(wire_server.address, quick(30), concurrency=2)
    model = handler.load_model()
    wire_server.released.clear()
    threads = [
        threading.Thread(target=lambda number=number: list(handler.run_inference([element(number)], model)))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    threads[0].join(0.5)  # a third request would arrive meanwhile
    wire_server.released.set()
    for thread in threads:
        thread.join()
    assert len(wire_server.squares) == 6
    assert wire_server.most_at_once == 2


def test_a_busy_server_is_asked_again_after_growing_pauses(wire_server, monkeypatch):
    handler = server_handler(wire_server.address, quick(30))
    longest: list[float] = []

    def no_pause(least: float, most: float) -> float:
        longest.append(most)
        return least

    monkeypatch.setattr("serving.client.options.random.uniform", no_pause)
    wire_server.failures = [(grpc.StatusCode.UNAVAILABLE, "queue is full")] * 5
    (answer,) = handler.run_inference([element(0)], handler.load_model())
    assert [ab.shape for ab in answer.inference.ab] == [(32, 32, 2)]
    assert longest == [0.2, 0.4, 0.8, 1.6, 3.2]


def test_the_token_is_taken_from_the_workers_environment_and_is_not_in_the_graph(wire_server, monkeypatch):
    monkeypatch.setenv("TINTYPE_TOKEN", " open-sesame\n")
    handler = server_handler(wire_server.address, quick())
    assert b"open-sesame" not in pickle.dumps(handler)
    wire_server.metadata.clear()
    list(handler.run_inference([element(0)], handler.load_model()))
    (sent,) = wire_server.metadata
    assert sent["authorization"] == "Bearer open-sesame"


def test_a_worker_loads_a_model_once_and_never_holds_two(picture_model: Path, tmp_path: Path) -> None:
    newer = shutil.copytree(picture_model, tmp_path / "8")
    first, second = SavedModelHandler(str(picture_model)), SavedModelHandler(str(newer))
    model = first.load_model()
    assert first.load_model() is model
    assert SavedModelHandler(str(picture_model)).load_model() is model
    assert first.identity().description.size == SQUARE
    assert second.load_model() is not model
    held = weakref.ref(model)
    del model
    gc.collect()
    assert held() is None


def test_a_base_path_stands_for_its_newest_version(tmp_path):
    for version in ("9", "10", "notes"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "saved_model.pb").touch()
    handler = SavedModelHandler(str(tmp_path))
    assert (handler.folder, handler.version) == (str(tmp_path / "10"), "10")


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"concurrency": 0}])
def test_wrong_numbers_are_refused(wire_server, wrong):
    with pytest.raises(ValueError, match="of at least 1, received 0"):
        server_handler(wire_server.address, quick(), **wrong)
