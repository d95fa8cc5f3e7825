import io
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from PIL import Image

from photo.color import rgb_to_lab, rgb_to_lightness
from photo.coloring import finish, prepare
from photo.coloring_options import ColoringOptions
from photo.decoding import decode_photo
from photo.encoding import encode_photo
from photo.errors import PhotoError, ServerRefused, ServerUnavailable, TintypeError
from photo.metadata import Metadata
from serving.client import Colorizer, ModelDescription
from serving.client.options import ConnectionOptions
from tests.serving.wire_server import WireHandler, WireServer


@pytest.fixture
def colorizer(wire_server):
    with Colorizer(wire_server.address, ConnectionOptions(timeout=10)) as colorizer:
        yield colorizer


@pytest.fixture
def gray(astronaut) -> np.ndarray:
    return np.repeat(astronaut.mean(-1, keepdims=True), 3, -1).astype(np.uint8)


def constant_ab(prepared, ab=(20.0, -30.0)) -> np.ndarray:
    return prepared.square / 100 * np.array(ab, np.float32)


def test_only_colour_is_added(gray):
    prepared = prepare(gray, 32)
    colored = finish(prepared, constant_ab(prepared))
    assert colored.shape == gray.shape
    assert colored.dtype == np.uint8
    assert np.abs(rgb_to_lightness(colored) - rgb_to_lightness(gray)).max() < 0.6  # one 8-bit step of blue and red
    middle = rgb_to_lab(colored)[np.abs(rgb_to_lightness(gray) - 50) < 10]  # where the gamut has room
    assert middle[:, 1].min() > 3
    assert middle[:, 2].max() < -5


def test_strength_scales_the_chroma(gray):
    prepared = prepare(gray, 32)
    ab = constant_ab(prepared, (5.0, -5.0))
    np.testing.assert_array_equal(finish(prepared, ab, ColoringOptions(strength=0)), gray)
    shown = [finish(prepared, ab, ColoringOptions(strength=strength)) for strength in (1, 2)]
    chroma = [np.linalg.norm(rgb_to_lab(rgb)[..., 1:], axis=-1).mean() for rgb in shown]
    assert chroma[1] == pytest.approx(2 * chroma[0], rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (3, 500), (500, 3), (32, 32), (33, 31), (17, 20)])
def test_photos_of_every_shape_come_back_in_it(shape):
    rgb = np.full((*shape, 3), 128, np.uint8)
    prepared = prepare(rgb, 32)
    assert prepared.square.shape == (32, 32, 1)
    assert finish(prepared, constant_ab(prepared)).shape == rgb.shape


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_an_array_gives_an_array_of_its_dtype(colorizer, gray, dtype):
    scale = {"u": np.iinfo(dtype).max / 255 if np.dtype(dtype).kind == "u" else 0, "f": 1 / 255}[np.dtype(dtype).kind]
    array = (gray * scale).astype(dtype)
    for photo in (array, array[..., :1], array[..., 0]):
        colored = colorizer.colorize(photo)
        assert colored.shape == gray.shape
        assert colored.dtype == dtype
        assert np.abs(rgb_to_lab(colored)[..., 1:].mean((0, 1)) - (9, -14)).max() < 5


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_bytes_and_paths_give_bytes_of_their_format(colorizer, gray, format, tmp_path):
    data = encode_photo(gray, format, metadata=Metadata(dpi=(300, 300)))
    path = tmp_path / "photo"
    path.write_bytes(data)
    for photo in (data, bytearray(data), path, str(path)):
        colored = decode_photo(colorizer.colorize(photo))
        assert colored.format == format
        assert colored.rgb.shape == gray.shape
        assert rgb_to_lab(colored.rgb)[..., 2].mean() < -8


def test_a_pillow_image_gives_a_pillow_image(colorizer, gray):
    exif = Image.Exif()
    exif[0x0112] = 6
    opened = Image.open(io.BytesIO(encode_photo(gray, "PNG", metadata=Metadata(exif=exif.tobytes()))))
    colored = colorizer.colorize(opened)
    assert isinstance(colored, Image.Image)
    assert colored.mode == "RGB"
    assert colored.size == (gray.shape[0], gray.shape[1])
    assert colorizer.colorize(Image.new("L", (30, 20), 128)).size == (30, 20)


def test_anything_else_is_no_photograph(colorizer):
    with pytest.raises(TypeError, match="received int"):
        colorizer.colorize(5)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((4, 4), np.int64),
        np.full((4, 4), np.nan),
        np.full((4, 4), 255.0),
    ],
)
def test_a_strange_array_is_refused_in_words(colorizer, array):
    with pytest.raises(PhotoError, match=r"expected .* received"):
        colorizer.colorize(array)


def test_a_missing_file_is_a_photo_error(colorizer, tmp_path):
    with pytest.raises(PhotoError, match=r"missing\.jpg: No such file"):
        colorizer.colorize(tmp_path / "missing.jpg")


def test_the_network_sees_squares_of_the_models_size(colorizer, wire_server, gray):
    colorizer.colorize(gray)
    colorizer.colorize(gray[:50])
    assert wire_server.squares == [(1, 32, 32, 1)] * 2
    assert wire_server.requests.count("describe") == 1


def test_a_new_version_is_asked_again_for_its_size(colorizer, wire_server, gray):
    colorizer.colorize(gray)
    wire_server.version, wire_server.size = 2, 48
    colorizer.colorize(gray)
    colorizer.colorize(gray)
    assert wire_server.squares == [(1, 32, 32, 1), (1, 32, 32, 1), (1, 48, 48, 1), (1, 48, 48, 1)]
    assert wire_server.requests.count("describe") == 2


def test_predict_ab_and_describe(colorizer):
    ab = colorizer.predict_ab(np.full((3, 16, 16, 1), 50, np.float32))
    assert ab.dtype == np.float32
    np.testing.assert_allclose(ab, np.broadcast_to(np.float32([10, -15]), (3, 16, 16, 2)))
    assert colorizer.describe() == ModelDescription("tiny", 32, 1, "tiny")
    with pytest.raises(ValueError, match=r"received \(16, 16, 1\)"):
        colorizer.predict_ab(np.zeros((16, 16, 1), np.float32))


def test_answers_beyond_grpcs_four_megabytes_arrive(colorizer):
    assert colorizer.predict_ab(np.zeros((4, 512, 512, 1), np.float32)).nbytes > 8_000_000


def test_no_server_is_said_within_the_deadline(free_port, gray):
    colorizer = Colorizer(f"localhost:{free_port}", ConnectionOptions(timeout=0.4))
    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(colorizer.colorize, gray)
        with pytest.raises(ServerUnavailable, match=rf"localhost:{free_port} did not answer within 0\.4 s"):
            call.result(timeout=20)  # by itself it would wait for 30


def test_a_server_that_starts_late_is_waited_for(free_port):
    late = WireServer()
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([WireHandler(late)])
    server.add_insecure_port(f"localhost:{free_port}")
    timer = threading.Timer(0.5, server.start)
    timer.start()
    with Colorizer(f"localhost:{free_port}", ConnectionOptions(timeout=20)) as colorizer:
        assert colorizer.describe().size == 32
    timer.join()
    server.stop(None).wait()


def test_a_full_queue_is_tried_again(colorizer, wire_server):
    wire_server.failures = [(grpc.StatusCode.UNAVAILABLE, "queue is full")] * 2
    assert colorizer.describe().size == 32


def test_a_model_that_is_loading_is_waited_for(colorizer, wire_server):
    wire_server.failures = [(grpc.StatusCode.NOT_FOUND, "no version yet")] * 2
    wire_server.status = [(1, 20)]
    assert colorizer.describe().size == 32


def test_a_model_that_came_between_the_question_and_the_look_is_found(colorizer, wire_server):
    wire_server.failures = [(grpc.StatusCode.NOT_FOUND, "no version yet")]
    wire_server.status = [(1, 30)]
    assert colorizer.describe().size == 32
    wire_server.failures = [(grpc.StatusCode.NOT_FOUND, "a table in the graph")] * 9
    with pytest.raises(ServerRefused, match="a table in the graph"):
        colorizer.describe()


def test_a_model_that_came_between_a_later_question_and_its_look_is_found(colorizer, wire_server):
    wire_server.failures = [(grpc.StatusCode.NOT_FOUND, "no version yet")] * 2
    wire_server.first_looks = [[(1, 20)], [(1, 30)]]
    assert colorizer.describe().size == 32
    assert not wire_server.first_looks


def test_a_server_too_busy_with_loading_to_tell_its_state_is_waited_for(colorizer, wire_server):
    wire_server.failures = [(grpc.StatusCode.NOT_FOUND, "no version yet")] * 2
    wire_server.first_looks = [grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE]
    assert colorizer.describe().size == 32
    assert not wire_server.first_looks


def test_a_model_that_never_loads_is_unavailable(wire_server):
    wire_server.failures = [(grpc.StatusCode.NOT_FOUND, "no version yet")] * 100
    wire_server.status = [(1, 20)]
    with (
        Colorizer(wire_server.address, ConnectionOptions(timeout=0.5)) as colorizer,
        pytest.raises(ServerUnavailable, match="still loading"),
    ):
        colorizer.describe()


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL]
)
def test_an_error_of_the_server_keeps_its_code_and_words(colorizer, wire_server, code):
    wire_server.failures = [(code, "Servable not found")]
    with pytest.raises(
        ServerRefused, match=rf"'colorizer' at localhost:\d+ refused with {code.name}: Servable not found"
    ):
        colorizer.describe()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda ab: ab[..., :1],
        lambda ab: ab[:, :5],
        lambda ab: ab.astype(np.int32),
        lambda ab: np.full_like(ab, np.nan),
    ],
)
def test_an_answer_that_is_no_colour_is_refused(colorizer, wire_server, gray, spoil):
    wire_server.spoil = spoil
    with pytest.raises(ServerRefused, match="answered with"):
        colorizer.colorize(gray)


def test_a_closed_client_opens_again(colorizer):
    colorizer.describe()
    colorizer.close()
    assert colorizer.describe().size == 32


def test_many_threads_may_share_a_client(colorizer, gray):
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(colorizer.colorize, [gray] * 16))
    assert all(np.array_equal(result, results[0]) for result in results)


@pytest.mark.parametrize(
    "server", ["localhost", "", "http://localhost:8500", "local host:1", "a:b", "ipv4:127.0.0.1:1,127.0.0.1"]
)
def test_a_wrong_address_is_said_before_anything_is_sent(server):
    with pytest.raises(ValueError, match="HOST:PORT"):
        Colorizer(server)


def test_other_wrong_arguments_are_named(colorizer, gray):
    with pytest.raises(ValueError, match="timeout"):
        Colorizer(connection=ConnectionOptions(timeout=0))
    with pytest.raises(ValueError, match="received both"):
        Colorizer(connection=ConnectionOptions(model_version=1, version_label="canary"))
    with pytest.raises(ValueError, match="strength"):
        colorizer.colorize(gray, ColoringOptions(strength=-1))


def test_a_file_is_coloured_with_its_exif_upright_and_its_resolution(colorizer, gray, tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Kodak"
    source, target = tmp_path / "in.jpg", tmp_path / "deep" / "out.png"
    Image.fromarray(gray).save(source, exif=exif, dpi=(240, 240), quality=95)
    assert colorizer.colorize_file(source, target) == target
    with Image.open(target) as colored:
        assert colored.format == "PNG"
        assert colored.size == (gray.shape[0], gray.shape[1])  # turned
        assert colored.info["dpi"] == pytest.approx((240, 240), abs=0.1)
        assert colored.getexif()[0x010F] == "Kodak"
        assert colored.getexif().get(0x0112, 1) == 1
    assert [path.name for path in target.parent.iterdir()] == ["out.png"]


def test_a_result_never_replaces_its_photograph(colorizer, gray, tmp_path):
    source = tmp_path / "photo.png"
    source.write_bytes(encode_photo(gray, "PNG"))
    link = tmp_path / "link.png"
    link.symlink_to(source)
    for target in (source, link):
        with pytest.raises(TintypeError, match="is the photograph itself"):
            colorizer.colorize_file(source, target)
    assert source.read_bytes() == encode_photo(gray, "PNG")


def test_a_failure_leaves_the_old_result(colorizer, wire_server, gray, tmp_path):
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    source.write_bytes(encode_photo(gray, "PNG"))
    target.write_bytes(b"the old one")
    wire_server.spoil = lambda ab: ab[..., :1]
    with pytest.raises(ServerRefused):
        colorizer.colorize_file(source, target)
    assert target.read_bytes() == b"the old one"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_target_that_cannot_be_written_is_named(colorizer, gray, tmp_path):
    source = tmp_path / "in.png"
    source.write_bytes(encode_photo(gray, "PNG"))
    with pytest.raises(TintypeError, match="suffix"):
        colorizer.colorize_file(source, tmp_path / "out.gif")
    with pytest.raises(TintypeError, match="cannot write"):
        colorizer.colorize_file(source, source / "out.png")
