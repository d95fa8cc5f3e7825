from fractions import Fraction

import av
import numpy as np
import pytest

from photo.errors import ServerRefused
from photo.hints import Hint
from serving.video import coloring
from serving.video.errors import VideoError
from serving.video.options import TimedHint, VideoOptions
from tests.serving.video.conftest import pan, planes

LOSSLESS = VideoOptions(codec="ffv1")


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("a.mp4", "libx264", "yuv420p"), ("a.mkv", "ffv1", "gray"), ("a.mkv", "ffv1", "yuv420p10le")],
)
def test_the_luma_of_the_result_is_the_film_s_own(colorizer, film, tmp_path, name, codec, pix_fmt):
    source = film(name, pan(1, 12), codec=codec, pix_fmt=pix_fmt)
    result = colorizer.colorize_video(source, tmp_path / "out.mkv", LOSSLESS)
    assert result.frames == 12
    before, after = planes(source), planes(result.path)
    assert all(np.array_equal(one[0], two[0]) for one, two in zip(before, after, strict=True))
    middle = 128 if pix_fmt != "yuv420p10le" else 512
    assert np.mean([frame[1].mean() for frame in after]) > middle + 5 * (middle // 128)  # b* of -30 is blue


def test_times_sound_title_and_shape_of_pixels_are_the_film_s_and_a_machine_is_named(colorizer, film, tmp_path):
    times = [0, 40, 120, 130, 300, 340, 380, 900]
    source = film("a.mp4", pan(1, 8), times=times, sound=True, aspect=Fraction(4, 3))
    result = colorizer.colorize_video(source, tmp_path / "out.mp4")
    with av.open(str(result.path)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert container.metadata["title"] == "grandfather"
        assert "compositeWithTrainedAlgorithmicMedia" in container.metadata["comment"]
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
        frames = list(container.decode(video=0))
        assert [round(1000 * frame.time) for frame in frames] == times
        assert (frames[0].color_range, frames[0].colorspace) == (1, 6)
    with av.open(str(result.path)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 8000


def test_a_cut_begins_a_shot_and_a_flash_does_not(colorizer, film, tmp_path):
    flash = pan(1, 10)
    flash[5] = np.full_like(flash[5], 235)
    source = film("a.mp4", flash + pan(2, 10))
    assert colorizer.colorize_video(source, tmp_path / "out.mp4").shots == 2


def test_predictions_that_flicker_become_steady(colorizer, wire_server, film, tmp_path):
    frames = [pan(1, 1)[0]] * 24
    random = np.random.default_rng(0)

    def flicker(ab):
        return ab + random.normal(0, 5, (len(ab), 1, 1, 2)).astype(np.float32)

    wire_server.spoil = flicker
    source = film("a.mkv", frames, codec="ffv1", pix_fmt="gray")
    after = planes(colorizer.colorize_video(source, tmp_path / "out.mkv", LOSSLESS).path)
    means = np.array([[frame[1].mean(), frame[2].mean()] for frame in after])
    assert np.abs(np.diff(means, axis=0)).mean() < 0.8


def test_every_second_frame_is_asked_and_all_have_colour(colorizer, wire_server, film, tmp_path):
    source = film("a.mp4", pan(1, 9))
    result = colorizer.colorize_video(source, tmp_path / "out.mkv", VideoOptions(every=2, codec="ffv1"))
    assert sum(shape[0] for shape in wire_server.squares) == 5
    assert min(frame[1].mean() for frame in planes(result.path)) > 133


def test_a_hint_at_a_time_follows_the_motion(colorizer, wire_server, film, tmp_path):
    wire_server.has_guided = True
    source = film("a.mp4", pan(1, 9, step=3))
    hint = TimedHint(0.0, Hint(0.75, 0.5, "#c02020", radius=0.05))
    colorizer.colorize_video(source, tmp_path / "out.mp4", hints=[hint])
    masks = np.concatenate(wire_server.hints)[..., 2]
    columns = [np.nonzero(mask)[1].mean() for mask in masks]
    assert columns[0] - columns[-1] == pytest.approx(8 * 3 * 32 / 96, abs=1.5)


def test_a_run_that_failed_goes_on_after_its_last_part(colorizer, wire_server, film, tmp_path, monkeypatch):
    monkeypatch.setattr(coloring, "_MOST_FRAMES", 5)
    source, target = film("a.mp4", pan(1, 18)), tmp_path / "out.mp4"
    asked = 0

    def fail(ab):
        nonlocal asked
        asked += 1
        return np.full_like(ab, np.nan) if asked == 3 else ab

    wire_server.spoil = fail
    with pytest.raises(ServerRefused, match="not numbers"):
        colorizer.colorize_video(source, target)
    assert not target.exists()
    wire_server.spoil = None
    result = colorizer.colorize_video(source, target)
    assert (result.frames, result.resumed, result.shots) == (18, 10, 1)
    assert len(planes(target)) == 18
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "out.mp4"]


def test_a_truncated_film_gives_what_was_readable(colorizer, film, tmp_path):
    source = film("a.mkv", pan(1, 30), codec="ffv1", pix_fmt="gray")
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    result = colorizer.colorize_video(source, tmp_path / "out.mkv")
    assert 5 < result.frames < 30
    assert len(planes(result.path)) == result.frames


def test_odd_sides_are_widened_and_said(colorizer, film, tmp_path):
    source = film("a.mkv", pan(1, 3, (63, 95)), codec="ffv1", pix_fmt="gray")
    result = colorizer.colorize_video(source, tmp_path / "out.mp4")
    assert planes(result.path)[0][0].shape == (64, 96)
    assert any("widened" in note for note in result.notes)


def test_interlaced_frames_are_deinterlaced_and_said(colorizer, film, tmp_path):
    source = film("a.mp4", pan(1, 8), options={"x264-params": "interlaced=1"})
    result = colorizer.colorize_video(source, tmp_path / "out.mp4")
    assert result.frames == 8
    assert any("interlaced" in note for note in result.notes)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"a letter\n" * 900, "a text file"), (bytes(range(256)) * 40, "no film that can be read")],
)
def test_what_is_no_film_is_said_in_plain_words(colorizer, tmp_path, content, words):
    source = tmp_path / "a.mp4"
    source.write_bytes(content)
    with pytest.raises(VideoError, match=words):
        colorizer.colorize_video(source, tmp_path / "out.mp4")
