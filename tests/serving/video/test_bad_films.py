"""What is no film, or a broken one: said in plain words, with what was readable."""

import os
import resource
import struct

import av
import numpy as np
import pytest

from serving.video.errors import VideoError
from serving.video.reading import FilmReader
from tests.serving.video.conftest import pan


def read(path):
    with FilmReader(path) as reader:
        frames = list(reader.frames())
    return frames, reader.notes


def packets(path):
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def scramble(path, places):
    data, random = bytearray(path.read_bytes()), np.random.default_rng(0)
    for start, size in places:
        data[start : start + size] = random.integers(0, 256, size, np.uint8).tobytes()
    path.write_bytes(data)


def test_a_broken_packet_in_mid_film_is_passed_over_and_said(film):
    path = film("a.mkv", pan(1, 12), codec="ffv1", pix_fmt="gray")
    (start, size) = packets(path)[6]
    scramble(path, [(start + 20, size - 20)])
    frames, notes = read(path)
    assert len(frames) == 11
    assert notes == ["1 broken frame was passed over"]


def test_a_film_whose_packets_do_not_decode_is_said_to_be_damaged_or_encrypted(film):
    path = film("a.mp4", pan(1, 6))
    scramble(path, packets(path))
    with pytest.raises(VideoError, match="empty, damaged or encrypted"):
        read(path)


@pytest.mark.parametrize(
    ("side", "words"), [(8200, "8200 x 8200 pixels; at most"), (16384, "larger than can be read; at most")]
)
def test_frames_that_are_too_large_are_refused_before_they_take_memory(film, side, words):
    path = film("a.mkv", [np.zeros((260, 300), np.uint8)] * 3, codec="ffv1", pix_fmt="gray")
    sides, larger = (struct.pack(">2sH2sH", b"\xb0\x82", w, b"\xba\x82", h) for w, h in ((300, 260), (side, side)))
    path.write_bytes(path.read_bytes().replace(sides, larger))  # as Matroska has them
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(VideoError, match=words):
        read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10


def test_frames_are_turned_upright_and_it_is_said(film):
    path = film("a.mp4", pan(1, 4))
    data = bytearray(path.read_bytes())
    matrix = data.find(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 64 << 16, 0, 1 << 30)
    path.write_bytes(data)
    frames, notes = read(path)
    assert frames[0].luma.shape == (96, 64)
    assert any("stand upright" in note for note in notes)


def test_a_film_of_sound_alone_is_refused(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        samples.sample_rate = 8000
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match="no video stream"):
        read(path)


def test_a_film_without_a_frame_is_refused(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "gray"
        container.start_encoding()
    with pytest.raises(VideoError, match=r"no frame of it|no video stream|no film that can be read"):
        read(path)


def test_what_may_have_no_end_is_refused_at_once(tmp_path):
    pipe, playlist = tmp_path / "a.mp4", tmp_path / "b.mp4"
    os.mkfifo(pipe)
    playlist.write_text("#EXTM3U\n# ünï\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\nfilm.ts\n", encoding="utf-8")
    with pytest.raises(VideoError, match="may have no end"):
        read(pipe)
    with pytest.raises(VideoError, match="a playlist"):
        read(playlist)


def test_a_text_in_any_language_is_no_film(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("Ein Brief über Öl. 手紙\n" * 300, encoding="utf-8")
    with pytest.raises(VideoError, match="a text file"):
        read(path)


def test_frames_that_change_their_size_are_brought_to_the_first_one_s_and_it_is_said(film):
    one, two = film("a.ts", pan(1, 6)), film("b.ts", pan(1, 4, (96, 128)))
    one.write_bytes(one.read_bytes() + two.read_bytes())
    frames, notes = read(one)
    assert {frame.luma.shape for frame in frames} == {(64, 96)}
    assert len(frames) == 10
    assert any("size of its frames changes" in note for note in notes)
