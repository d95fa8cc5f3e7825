"""What a file says of its colours without an ICC profile: by PNG's chunks, in their order, or by EXIF."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from photo.decoding import decode_photo
from photo.rgb_spaces import HDR_NOTE
from tests.photo.test_icc_profile import SRGB as SCREEN
from tests.photo.test_icc_profile import gamma, rgb_profile

COLORS = np.random.default_rng(5).integers(0, 256, (16, 16, 3), np.uint8)
ADOBE_CHROMATICITIES = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
SRGB_CHROMATICITIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def gama(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(100_000 * value)))


def chrm(chromaticities) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in chromaticities)))


def cicp(primaries: int, transfer: int) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


def iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile))


SRGB = chunk(b"sRGB", b"\0")


def png(pixels: np.ndarray, *chunks: bytes) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    whole = file.getvalue()
    return whole[:33] + b"".join(chunks) + whole[33:]


def read(*chunks: bytes, pixels: np.ndarray = COLORS) -> np.ndarray:
    return decode_photo(png(pixels, *chunks)).rgb


def by_littlecms(profile: bytes) -> np.ndarray:
    own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(COLORS), own, srgb)).astype(int)


ADOBE = rgb_profile(gamma(563 / 256))


@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (SRGB,),
        (gama(0.45455),),
        (gama(0.45455), chrm(SRGB_CHROMATICITIES)),
        (SRGB, gama(1.0), chrm(ADOBE_CHROMATICITIES)),
        (cicp(1, 13), iccp(ADOBE)),
        (gama(0.0),),
        (chrm((0.0,) * 8),),
    ],
    ids=range(8),
)
def test_numbers_that_are_srgb_stay(chunks):
    np.testing.assert_array_equal(read(*chunks), COLORS)


def test_linear_light_is_given_the_curve_of_a_screen():
    shades = np.linspace(0, 65535, 512).astype(np.uint16).reshape(16, 32)
    rgb = read(gama(1.0), pixels=shades)
    assert rgb.dtype == np.uint16
    np.testing.assert_allclose(rgb[..., 0] / 65535, (shades / 65535) ** (1 / 2.2), atol=2e-4)


def test_gamma_and_primaries_together_are_a_space():
    expected = by_littlecms(rgb_profile(SCREEN))
    away = np.abs(read(gama(0.45455), chrm(ADOBE_CHROMATICITIES)).astype(int) - expected)
    assert away.max() <= 2


def test_a_profile_counts_before_gamma_and_srgb():
    expected = by_littlecms(ADOBE)
    for others in ((gama(1.0),), (SRGB,), (chrm(SRGB_CHROMATICITIES), gama(1.0))):
        np.testing.assert_array_equal(read(iccp(ADOBE), *others), expected)


@pytest.mark.parametrize(("primaries", "transfer"), [(12, 13), (9, 1), (1, 8), (1, 4)])
def test_code_points_count_before_everything(primaries, transfer):
    alone = read(cicp(primaries, transfer))
    assert np.abs(alone.astype(int) - COLORS).max() > 3
    np.testing.assert_array_equal(read(cicp(primaries, transfer), iccp(ADOBE), SRGB, gama(1.0)), alone)
    gray = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.ptp(read(cicp(primaries, transfer), pixels=gray).astype(int), axis=-1).max() <= 1


def test_code_points_of_another_matrix_or_kind_are_passed_over():
    for wrong in (chunk(b"cICP", bytes([12, 13, 1, 1])), cicp(99, 13), cicp(1, 99)):
        np.testing.assert_array_equal(read(wrong), COLORS)


@pytest.mark.parametrize("transfer", [16, 18])
def test_a_larger_range_than_a_screens_is_said(transfer):
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    photo = decode_photo(png(ramp, cicp(9, transfer)))
    assert photo.notes == (HDR_NOTE,)
    assert (np.diff(photo.rgb[0, :, 1].astype(int)) >= 0).all()
    assert photo.rgb[0, -1].tolist() == [255, 255, 255]


def exif_of(space: int | None, index: str | None) -> bytes:
    """An EXIF block of three directories, each behind the other; Pillow writes no interoperability directory."""
    details = [] if space is None else [(0xA001, 3, 1, struct.pack("<HH", space, 0))]
    start, interoperability = 26, b""
    if index is not None:
        behind = start + 2 + 12 * (len(details) + 1) + 4
        details.append((0xA005, 4, 1, struct.pack("<I", behind)))
        interoperability = directory([(1, 2, 4, index.encode() + b"\0")])
    first = directory([(0x8769, 4, 1, struct.pack("<I", start))])
    return b"Exif\0\0II*\0\x08\0\0\0" + first + directory(details) + interoperability


def directory(entries) -> bytes:
    body = b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return struct.pack("<H", len(entries)) + body + bytes(4)


@pytest.mark.parametrize(
    ("space", "index", "is_adobe"),
    [
        (0xFFFF, "R03", True),
        (2, None, True),
        (None, "R03", True),
        (0xFFFF, "R98", False),
        (0xFFFF, None, False),
        (1, "R03", False),
        (1, "R98", False),
    ],
)
@pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG"])
def test_adobe_rgb_is_told_by_exif(encode, format, space, index, is_adobe):
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(format, {})
    plain = decode_photo(encode(COLORS, format, **options)).rgb
    photo = decode_photo(encode(COLORS, format, exif=exif_of(space, index), **options))
    if not is_adobe:
        np.testing.assert_array_equal(photo.rgb, plain)
        return
    away = np.abs(photo.rgb.astype(int) - by_littlecms(ADOBE))
    assert (away.max() <= 2) if format != "JPEG" else (away.mean() < 8 < np.abs(photo.rgb.astype(int) - plain).max())


def test_a_profile_counts_before_exif(encode):
    own = rgb_profile(gamma(1.8))
    photo = decode_photo(encode(COLORS, "PNG", exif=exif_of(0xFFFF, "R03"), icc_profile=own))
    np.testing.assert_array_equal(photo.rgb, by_littlecms(own))
