"""Files are known by their content; what they hold beside the picture that is read is said with a count."""

import io
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from photo.color_conversion import BROKEN_PROFILE
from photo.decoding import decode_photo, read_header
from photo.errors import PhotoError
from photo.formats import PhotoFormat, recognise_format
from tests.photo.test_icc_profile import gamma, profile_of, rgb_profile


def small(astronaut) -> np.ndarray:
    return astronaut[::4, ::4].copy()


def refused(data: bytes) -> str:
    with pytest.raises(PhotoError) as caught:
        decode_photo(data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("format", "options", "away"),
    [("GIF", {}, 12), ("JPEG2000", {"irreversible": False}, 0.01), ("AVIF", {"quality": 95}, 4)],
)
def test_formats_that_are_read_alone(astronaut, encode, format, options, away):
    data = encode(small(astronaut), format, **options)
    photo = decode_photo(data)
    assert photo.format == format
    assert photo.format.written_as in ("PNG", "JPEG")
    assert (photo.pages, photo.pictures_left_out, photo.notes) == (1, 0, ())
    assert np.abs(photo.rgb.astype(int) - small(astronaut)).mean() < away
    header = read_header(data)
    assert (header.format, header.width, header.height) == (format, 70, 50)


def heic(pixels: np.ndarray, **options) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    mode = {(1, 3): "RGB", (2, 3): "RGB;16", (1, 4): "RGBA"}[pixels.itemsize, pixels.shape[2]]
    file = pillow_heif.from_bytes(mode, pixels.shape[1::-1], pixels.tobytes())
    for more in range(options.pop("more", 0)):
        file.add_from_pillow(Image.new("RGB", (64, 64), (40 * more, 0, 0)))
    stream = io.BytesIO()
    file.save(stream, quality=options.pop("quality", -1), chroma=444, **options)
    return stream.getvalue()


def test_heic_is_read_whatever_its_name(astronaut):
    data = heic(small(astronaut), quality=90)
    photo = decode_photo(data)
    assert photo.format is PhotoFormat.HEIF
    assert photo.format.suffix == ".jpg"
    assert np.abs(photo.rgb.astype(int) - small(astronaut)).mean() < 4
    assert read_header(data).width == 70


def test_heic_keeps_more_than_eight_bits_and_alpha(astronaut):
    deep = small(astronaut).astype(np.uint16) * 257
    assert decode_photo(heic(deep)).rgb.dtype == np.uint16
    alpha = np.full((50, 70, 1), 255, np.uint8)
    alpha[:25] = 0
    photo = decode_photo(heic(np.concatenate([small(astronaut), alpha], axis=2)))
    assert (photo.alpha[:20] < 10).all()
    assert (photo.alpha[30:] > 245).all()


def test_white_of_a_deep_heic_is_white():
    assert (decode_photo(heic(np.full((16, 16, 3), 65535, np.uint16))).rgb == 65535).all()


def test_a_transparent_heic_of_one_pixel_is_white():
    photo = decode_photo(heic(np.array([[[90, 120, 30, 0]]], np.uint8)))
    assert photo.rgb.tolist() == [[[255, 255, 255]]]
    assert photo.alpha.tolist() == [[0]]


def test_further_pictures_of_a_heic_are_counted(astronaut):
    photo = decode_photo(heic(small(astronaut), more=2))
    assert photo.pictures_left_out == 2
    assert photo.notes == ("2 more pictures of the HEIC file are not coloured",)


def test_what_needs_the_extra_names_it():
    code = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from photo.decoding import decode_photo\n"
        "try: decode_photo(b'\\0\\0\\0\\x1cftypheic' + bytes(60))\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install '.[formats]'" in done.stdout


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF"])
def test_further_frames_of_an_animation_are_counted(encode, format):
    frames = [Image.new("RGB", (40, 30), color) for color in ("red", "lime", "blue")]
    options = {"lossless": True} if format == "WEBP" else {}
    photo = decode_photo(encode(frames[0], format, save_all=True, append_images=frames[1:], **options))
    assert photo.rgb[15, 20].tolist() == [255, 0, 0]
    assert photo.pictures_left_out == 2
    assert photo.notes == ("2 more frames of the animation are not coloured",)


def test_further_pictures_of_an_mpo_are_counted(encode):
    pictures = [Image.new("RGB", (40, 30), color) for color in ("gray", "white")]
    data = encode(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    photo = decode_photo(data)
    assert photo.format is PhotoFormat.JPEG
    assert photo.notes == ("1 more picture of the camera's MPO file is not coloured",)
    broken = data.replace(b"MPF\0II*\0", b"MPF\0II*\xff")
    assert decode_photo(broken).pictures_left_out == 0


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"FUJIFILMCCD-RAW 0201", "develop it first"),
        (b"IIU\0\x18\0\0\0", "develop it first"),
        (b"IIRO\x08\0\0\0", "develop it first"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "develop it first"),
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    ],
    ids=range(6),
)
def test_pictures_of_kinds_that_are_not_read_are_named(start, words):
    assert words in refused(start + bytes(64))


@pytest.mark.parametrize(
    ("brands", "format"),
    [
        (b"heic\0\0\0\0mif1heic", "HEIF"),
        (b"mif1\0\0\0\0mif1heic", "HEIF"),
        (b"mif1\0\0\0\0mif1avif", "AVIF"),
        (b"avis\0\0\0\0avifavis", "AVIF"),
    ],
)
def test_the_brands_of_a_file_tell_heic_and_avif_apart(brands, format):
    assert recognise_format(struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands) == format


@pytest.mark.parametrize("codec", ["jp2", "j2k"])
@pytest.mark.parametrize("bits", [4, 9, 12, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_bits_of_jpeg_2000_are_kept_and_its_whites_stay_white(codec, bits, channels):
    imagecodecs = pytest.importorskip("imagecodecs")
    white = (1 << bits) - 1
    deep = np.linspace(1, white, 30 * 40 * channels).reshape(30, 40, channels).astype("u2" if bits > 8 else "u1")
    stored = deep[..., 0] if channels == 1 else deep
    photo = decode_photo(imagecodecs.jpeg2k_encode(stored, codecformat=codec, reversible=True, bitspersample=bits))
    colors = 3 if channels > 2 else 1
    assert photo.color.dtype == deep.dtype
    assert np.abs(photo.color / np.iinfo(deep.dtype).max - deep[..., :colors] / white).max() < 1e-4
    assert (photo.alpha is None) == (channels in (1, 3))
    assert photo.notes == ()


def test_deep_jpeg_2000_takes_the_extra_for_pillow_makes_its_whites_black(monkeypatch):
    imagecodecs = pytest.importorskip("imagecodecs")
    data = imagecodecs.jpeg2k_encode(np.full((9, 9, 3), 65535, np.uint16), reversible=True)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert "a JPEG 2000 file of 16 bits a channel takes the extra `formats` to read" in refused(data)


@pytest.mark.parametrize("bits", [10, 12])
def test_the_bits_of_avif_are_kept_or_said_to_be_lost(bits, monkeypatch):
    imagecodecs = pytest.importorskip("imagecodecs")
    ramp = np.linspace(0, (1 << bits) - 1, 48 * 64).reshape(48, 64, 1).astype(np.uint16).repeat(3, 2)
    data = imagecodecs.avif_encode(ramp, level=100, bitspersample=bits)
    photo = decode_photo(data)
    assert photo.rgb.dtype == np.uint16
    assert np.abs(photo.rgb / 65535 - ramp / ((1 << bits) - 1)).max() < 2 / (1 << bits)
    assert photo.notes == ()
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert decode_photo(data).notes == (f"of its {bits} bits a channel the upper 8 are read",)


def test_the_code_points_of_avif_are_believed():
    imagecodecs = pytest.importorskip("imagecodecs")
    ramp = np.linspace(0, 255, 48 * 64).reshape(48, 64, 1).astype(np.uint8).repeat(3, 2)
    bright = decode_photo(imagecodecs.avif_encode(ramp, level=100, primaries=9, transfer=16))
    assert "HDR" in bright.notes[0]
    linear = decode_photo(imagecodecs.avif_encode(ramp, level=100, primaries=1, transfer=8)).rgb
    plain = decode_photo(imagecodecs.avif_encode(ramp, level=100, primaries=1, transfer=13)).rgb
    assert linear.mean() > plain.mean() + 30
    assert np.abs(plain.astype(int) - ramp).max() <= 2


def test_a_sixteen_bit_colour_that_stands_for_transparent(encode):
    deep = np.zeros((6, 8, 3), np.uint16)
    deep[:, 4:] = (1000, 2000, 3000)
    png = cv2.imencode(".png", deep[..., ::-1])[1].tobytes()
    body = b"tRNS" + struct.pack(">3H", 1000, 2000, 3000)
    data = png[:33] + struct.pack(">I", 6) + body + struct.pack(">I", zlib.crc32(body)) + png[33:]
    photo = decode_photo(data)
    assert photo.rgb.dtype == np.uint16
    assert (photo.alpha[:, :4] == 65535).all()
    assert (photo.alpha[:, 4:] == 0).all()
    assert (photo.rgb[:, 4:] == 65535).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_broken_profile_is_said(encode, dtype):
    file = io.BytesIO()
    gray = np.full((5, 5), 77, dtype)
    tifffile.imwrite(file, gray, iccprofile=b"broken", metadata=None)
    photo = decode_photo(file.getvalue())
    assert photo.notes == (BROKEN_PROFILE,)
    assert (photo.rgb == 77).all()


def test_a_profile_of_another_kind_than_the_picture_is_said(astronaut, encode):
    photo = decode_photo(encode(small(astronaut), "PNG", icc_profile=profile_of("GRAY", {"kTRC": gamma(1.8)})))
    assert "for GRAY and not for RGB" in photo.notes[0]


def test_a_profile_is_srgb_by_what_it_says_and_not_by_its_name(astronaut, encode):
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (decode_photo(encode(small(astronaut), "PNG", icc_profile=own)).rgb == small(astronaut)).all()
    linear = rgb_profile(gamma(1.0)).replace("Scan".encode("utf-16-be"), "sRGB".encode("utf-16-be"))
    photo = decode_photo(encode(small(astronaut), "PNG", icc_profile=linear))
    assert photo.rgb.mean() > small(astronaut).mean() + 20


def cmyk_profile() -> bytes:
    """A press that mixes its inks evenly, as a table of 5 x 5 x 5 x 5 colours in L*a*b*."""
    axis = np.linspace(0, 1, 5)
    cyan, magenta, yellow, black = np.meshgrid(*[axis] * 4, indexing="ij")
    lightness = 100 * (1 - black) * (1 - (0.3 * cyan + 0.5 * magenta + 0.1 * yellow))
    lab = np.stack([lightness * 652.8, np.full_like(lightness, 32768), np.full_like(lightness, 32768)], axis=-1)
    identity = struct.pack(">9i", *(65536 * np.eye(3, dtype=int)).ravel())
    ramp = np.array([0, 65535], ">u2").tobytes()
    tag = b"mft2" + struct.pack(">I4B", 0, 4, 3, 5, 0) + identity + struct.pack(">2H", 2, 2)
    tag += ramp * 4 + lab.round().astype(">u2").tobytes() + ramp * 3
    profile = bytearray(profile_of("CMYK", {"A2B0": tag}))
    profile[20:24], profile[8:12] = b"Lab ", bytes([2, 0x40, 0, 0])
    return bytes(profile)


def test_sixteen_bits_of_cmyk_go_through_their_profile():
    inks = np.random.default_rng(2).integers(0, 65536, (24, 20, 4), np.uint16)
    file, eight = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(file, inks, photometric="separated", iccprofile=cmyk_profile(), metadata=None)
    tifffile.imwrite(
        eight, (inks >> 8).astype(np.uint8), photometric="separated", iccprofile=cmyk_profile(), metadata=None
    )
    photo = decode_photo(file.getvalue())
    assert photo.rgb.dtype == np.uint16
    assert np.abs(photo.rgb / 257 - decode_photo(eight.getvalue()).rgb).mean() < 1.5
