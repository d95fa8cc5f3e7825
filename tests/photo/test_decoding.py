import contextlib
import io
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from photo.decoding import decode_photo, photo_from_image
from photo.encoding import encode_photo
from photo.errors import PhotoError, TintypeError
from photo.metadata import Metadata

LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True}}
ORIENTATION, MAKE = 0x0112, 0x010F


def reason(data: bytes, **options) -> str:
    with pytest.raises(PhotoError) as caught:
        decode_photo(data, **options)
    return caught.value.reason


def deep(photo: np.ndarray) -> np.ndarray:
    """16 bits whose lower byte matters."""
    return (photo.astype(np.uint16) << 8) + np.arange(photo.shape[1], dtype=np.uint16)[:, None] % 256


@pytest.mark.parametrize("format", LOSSLESS)
def test_lossless_formats_give_exactly_their_pixels(astronaut, encode, format):
    photo = decode_photo(encode(astronaut, format, **LOSSLESS[format]))
    assert photo.format == format
    assert photo.rgb.dtype == np.uint8
    np.testing.assert_array_equal(photo.rgb, astronaut)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_close_to_its_pixels(astronaut, encode, progressive):
    photo = decode_photo(encode(astronaut, "JPEG", quality=98, subsampling=0, progressive=progressive))
    assert photo.format == "JPEG"
    assert np.abs(photo.rgb.astype(int) - astronaut).mean() < 1.5


def test_nothing_is_empty():
    assert reason(b"") == "empty"


@pytest.mark.parametrize("data", [b"hello, this is text", b"\x00", b"RIFF\0\0\0\0WAVEfmt "])
def test_what_is_no_photograph_is_not_an_image(data):
    assert reason(data) == "not_an_image"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.99])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_file_that_breaks_off_is_truncated(astronaut, encode, format, share):
    data = encode(astronaut, format)
    assert reason(data[: int(len(data) * share)]) == "truncated"


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_compressed_tiff_that_breaks_off_is_truncated(astronaut, encode, compression):
    data = encode(astronaut, "TIFF", compression=compression)
    assert reason(data[:-60]) == reason(data[: len(data) // 2]) == "truncated"


def test_damaged_bytes_are_unreadable(astronaut, encode):
    data = bytearray(encode(astronaut, "PNG"))
    data[1000:3000] = bytes(2000)
    assert reason(bytes(data)) == "unreadable"


def test_any_damage_ends_in_a_photo_or_a_photo_error(astronaut, encode):
    generator = np.random.default_rng(7)
    small = Image.fromarray(astronaut).resize((40, 30))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for format in ("JPEG", "PNG", "WEBP", "TIFF", "BMP"):
            whole = np.frombuffer(encode(small, format), np.uint8)
            for _ in range(60):
                data = whole.copy()
                data[generator.integers(0, min(len(data), 200), 4)] = generator.integers(0, 256, 4)
                with contextlib.suppress(PhotoError):
                    decode_photo(data.tobytes(), max_pixels=10_000_000)


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def webp_claiming(width: int, height: int) -> bytes:
    extended = b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + extended
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("claim", [png_claiming, webp_claiming])
def test_the_pixel_limit_is_judged_from_the_header(claim):
    assert reason(claim(20_000, 10_001)) == "too_many_pixels"


def test_the_pixel_limit_is_ours_and_pillows_stays_untouched(encode, monkeypatch):
    data = encode(Image.new("L", (300, 200)), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # by Pillow's own opening this would be an error
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode_photo(data, max_pixels=60_000).rgb.shape == (200, 300, 3)
    assert Image.MAX_IMAGE_PIXELS == 1000
    assert reason(data, max_pixels=59_999) == "too_many_pixels"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_forgotten(astronaut, encode, format, orientation):
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = orientation, "Kodak"
    data = encode(astronaut, format, exif=exif, **LOSSLESS.get(format, {}))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    photo = decode_photo(data)
    np.testing.assert_array_equal(photo.rgb, np.asarray(upright))
    kept = Image.Exif()
    kept.load(photo.metadata.exif)
    assert dict(kept) == {MAKE: "Kodak"}


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_sixteen_bit_photos_keep_sixteen_bits(astronaut, extension):
    expected = deep(astronaut)
    color = cv2.imencode(extension, expected[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode_photo(color).rgb, expected)
    gray = cv2.imencode(extension, expected[..., 0])[1].tobytes()
    np.testing.assert_array_equal(decode_photo(gray).rgb, np.repeat(expected[..., :1], 3, -1))


def test_sixteen_bit_orientation_is_applied_once(astronaut):
    expected = deep(astronaut)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for format in ("PNG", "TIFF"):
        data = encode_photo(expected, format, metadata=Metadata(exif=exif.tobytes()))
        np.testing.assert_array_equal(decode_photo(data).rgb, np.rot90(expected, -1))


def test_sixteen_bit_tiff_whose_white_is_zero_is_inverted():
    tags = {262: 0}
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(file, "TIFF", tiffinfo=tags)
    assert (decode_photo(file.getvalue()).rgb == 65535 - 1000).all()


def test_sixteen_bit_alpha_is_flattened_on_white():
    bgra = np.zeros((5, 6, 4), np.uint16)
    bgra[:, :3, 3] = 65535
    rgb = decode_photo(cv2.imencode(".png", bgra)[1].tobytes()).rgb
    assert rgb.dtype == np.uint16
    assert (rgb[:, :3] == 0).all()
    assert (rgb[:, 3:] == 65535).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_flattened_on_white(encode, mode):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (4, 0, 8, 8))
    if mode == "P":
        paletted = Image.new("P", (8, 8), 0)
        paletted.putpalette([0, 0, 0, 10, 20, 30])
        paletted.paste(1, (4, 0, 8, 8))
        data = encode(paletted, "PNG", transparency=1)
    else:
        data = encode(image.convert(mode), "PNG")
    rgb = decode_photo(data).rgb
    assert (rgb[:, :4] == 0).all()
    assert (rgb[:, 4:] == 255).all()


def test_half_transparent_black_on_white_is_gray(encode):
    assert decode_photo(encode(Image.new("RGBA", (2, 2), (0, 0, 0, 128)), "PNG")).rgb[0, 0].tolist() == [127] * 3


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_keeps_its_meaning(encode, format):
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    rgb = decode_photo(encode(red, format)).rgb[8, 8].astype(int)
    assert np.abs(rgb - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_one_bit_is_black_and_white(encode, format):
    image = Image.new("1", (16, 9), 0)
    image.paste(1, (8, 0, 16, 9))
    rgb = decode_photo(encode(image, format)).rgb
    assert (rgb[:, :8] == 0).all()
    assert (rgb[:, 8:] == 255).all()


def test_palette_becomes_its_colours(encode):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    assert decode_photo(encode(image, "BMP")).rgb[0, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize("format", ["WEBP", "TIFF", "PNG"])
def test_of_several_images_the_first_counts(encode, format):
    pages = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    data = encode(pages[0], format, save_all=True, append_images=pages[1:], **LOSSLESS[format])
    assert decode_photo(data).rgb[4, 4].tolist() == [255, 0, 0]


def profile_with_swapped_primaries() -> bytes:
    """sRGB whose red and green colorants are exchanged: what is red by its numbers is green."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    entries = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * int.from_bytes(profile[128:132]), 12)}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "Swap".encode("utf-16-be")).replace(b"sRGB", b"Swap")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_colour_profile_is_applied(encode, format):
    red = Image.new("RGB", (16, 16), (250, 0, 0))
    options = LOSSLESS.get(format, {"quality": 100, "subsampling": 0})
    rgb = decode_photo(encode(red, format, icc_profile=profile_with_swapped_primaries(), **options)).rgb[8, 8]
    assert rgb[1] > 240
    assert max(rgb[0], rgb[2]) < 10


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_broken_or_unfitting_profile_is_ignored(encode, mode):
    image = Image.new(mode, (8, 8), "white" if mode != "CMYK" else (0, 0, 0, 0))
    plain = decode_photo(encode(image, "TIFF")).rgb
    for profile in (b"no profile at all", profile_with_swapped_primaries()[:200]):
        np.testing.assert_array_equal(decode_photo(encode(image, "TIFF", icc_profile=profile)).rgb, plain)
    unfitting = decode_photo(encode(image, "TIFF", icc_profile=profile_with_swapped_primaries())).rgb
    assert np.abs(unfitting.astype(int) - plain).max() <= 1


def test_broken_exif_is_ignored(astronaut, encode):
    photo = decode_photo(encode(astronaut, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff broken"))
    assert photo.rgb.shape == astronaut.shape
    assert photo.metadata.exif is None


def test_resolution_is_read(astronaut, encode):
    assert decode_photo(encode(astronaut, "JPEG", dpi=(300, 300))).metadata.dpi == (300, 300)
    assert decode_photo(encode(astronaut, "JPEG")).metadata.dpi is None


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_encoded_is_decoded_again(astronaut, format, dtype):
    rgb = astronaut if dtype == np.uint8 else deep(astronaut)
    exif = Image.Exif()
    exif[MAKE] = "Kodak"
    exif.get_ifd(0x8769)[0x9003] = "1999:01:02 03:04:05"
    photo = decode_photo(
        encode_photo(rgb, format, quality=95, metadata=Metadata(exif=exif.tobytes(), dpi=(300.0, 300.0)))
    )
    assert photo.format == format
    keeps_depth = dtype == np.uint16 and format in ("PNG", "TIFF")
    assert photo.rgb.dtype == (np.uint16 if keeps_depth else np.uint8)
    scale = 257 if dtype == np.uint16 and not keeps_depth else 1
    difference = np.abs(photo.rgb.astype(int) - np.round(rgb / scale).astype(int))
    assert difference.max() == 0 if format in ("PNG", "TIFF", "BMP") else difference.mean() < 3
    if format != "WEBP":  # which has no field for it
        assert photo.metadata.dpi == pytest.approx((300, 300), abs=0.1)
    if format != "BMP":
        kept = Image.Exif()
        kept.load(photo.metadata.exif)
        assert kept[MAKE] == "Kodak"
        assert kept.get_ifd(0x8769)[0x9003] == "1999:01:02 03:04:05"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_profile_can_be_embedded(format, dtype):
    profile = profile_with_swapped_primaries()
    data = encode_photo(np.zeros((4, 4, 3), dtype), format, metadata=Metadata(icc=profile))
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.info["icc_profile"] == profile


def embedded_profile(data: bytes) -> bytes | None:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image.info.get("icc_profile")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_profile_comes_out_as_one_that_fits_the_pixels(encode, format):
    red = Image.new("RGB", (16, 16), (250, 0, 0))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    def kept(image, **options):
        photo = decode_photo(encode(image, format, **options))
        return embedded_profile(encode_photo(photo.rgb, format, metadata=photo.metadata))

    assert kept(red) is None
    assert kept(red, icc_profile=srgb) == srgb
    assert kept(red, icc_profile=b"no profile") is None
    converted = kept(red, icc_profile=profile_with_swapped_primaries())
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(converted)))
    photo = decode_photo(encode(red, format, icc_profile=profile_with_swapped_primaries()))
    # What the file says the colours are stays what it is, by its new profile.
    again = decode_photo(encode_photo(photo.rgb, "PNG", metadata=photo.metadata))
    np.testing.assert_array_equal(again.rgb, photo.rgb)


def test_a_tiff_without_rows_is_no_photograph():
    data = encode_photo(np.zeros((5, 7, 3), np.uint8), "TIFF")
    height = struct.pack("<HHII", 257, 4, 1, 5)
    assert reason(data.replace(height, struct.pack("<HHII", 257, 4, 1, 0))) == "unreadable"


def test_a_photo_beyond_the_format_is_refused_in_words():
    with pytest.raises(TintypeError, match="16383 pixels a side, not 17000 x 1"):
        encode_photo(np.zeros((1, 17_000, 3), np.uint8), "WEBP")


@pytest.mark.parametrize(("array", "format"), [(np.zeros((2, 2, 3)), "PNG"), (np.zeros((2, 2, 3), np.uint8), "GIF")])
def test_encoding_names_what_it_expected(array, format):
    with pytest.raises(ValueError, match=r"expected .* received"):
        encode_photo(array, format)


def test_pillow_images_go_the_same_way(astronaut, encode):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for format in ("PNG", "TIFF"):
        opened = Image.open(io.BytesIO(encode(astronaut, format, exif=exif)))
        np.testing.assert_array_equal(photo_from_image(opened).rgb, np.rot90(astronaut, -1))
    gray = photo_from_image(Image.fromarray(np.full((3, 4), 40_000, np.uint16))).rgb
    assert gray.dtype == np.uint16
    assert (gray == 40_000).all()
    data = encode(astronaut, "PNG")
    with pytest.raises(PhotoError):
        photo_from_image(Image.open(io.BytesIO(data[: len(data) // 2])))
