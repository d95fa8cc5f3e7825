"""TIFF files of every layout, depth and kind of colour: the pixels that were written are the ones that are read."""

import io
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from photo.color import rgb_to_lightness
from photo.decoding import decode_photo, read_header
from photo.errors import PhotoError

pytest.importorskip("imagecodecs")  # writes the files

REDUCED = 1
GENERATOR = np.random.default_rng(3)
RGB16 = GENERATOR.integers(0, 65536, (37, 29, 3), np.uint16)
RGB8 = GENERATOR.integers(0, 256, (37, 29, 3), np.uint8)
GRAY16, GRAY8 = RGB16[..., 0].copy(), RGB8[..., 0].copy()


def tiff(*pages, **options) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, bigtiff=options.pop("bigtiff", False), byteorder=options.pop("order", "<")) as out:
        for page in pages:
            out.write(page, metadata=None, **options)
    return file.getvalue()


def refused(data: bytes, **options) -> str:
    with pytest.raises(PhotoError) as caught:
        decode_photo(data, **options)
    return f"{caught.value.reason}: {caught.value}"


def planes(rgb):
    return np.ascontiguousarray(np.moveaxis(rgb, -1, 0))


LAYOUTS = [
    {"planarconfig": "separate"},
    {"planarconfig": "separate", "tile": (16, 16)},
    {"planarconfig": "separate", "compression": "zlib", "predictor": True},
    {"planarconfig": "separate", "compression": "lzw", "rowsperstrip": 5},
    {"planarconfig": "contig", "tile": (16, 16), "compression": "zlib"},
    {"planarconfig": "contig", "compression": "packbits", "rowsperstrip": 7},
    {"planarconfig": "contig", "compression": "zstd", "order": ">"},
    {"planarconfig": "contig", "compression": "lzma", "bigtiff": True, "order": ">"},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: "-".join(map(str, layout.values())))
@pytest.mark.parametrize("rgb", [RGB8, RGB16], ids=["8", "16"])
def test_every_layout_gives_its_pixels(rgb, layout):
    stored = planes(rgb) if layout["planarconfig"] == "separate" else rgb
    photo = decode_photo(tiff(stored, photometric="rgb", **layout))
    assert photo.rgb.dtype == rgb.dtype
    assert photo.notes == ()
    np.testing.assert_array_equal(photo.rgb, rgb)


FOREIGN_MEMORY = """
import io, sys
import numpy as np
from photo.decoding import decode_photo
whole = sys.stdin.buffer.read()
for size in (1 << 12, 1 << 16, 1 << 20, 1 << 22):  # what another photograph leaves behind
    left = [np.full(size, 0xA5, np.uint8) for _ in range(8)]
    del left
sys.stdout.buffer.write(decode_photo(whole).rgb.tobytes())
"""


@pytest.mark.parametrize("layout", LAYOUTS[:3], ids=["planar", "planar and tiled", "planar and deflated"])
def test_no_pixel_comes_from_memory_that_the_photograph_did_not_fill(layout):
    constant = np.full((3, 512, 300), 777, np.uint16)
    read = read_in_foreign_memory(tiff(constant, photometric="rgb", **layout))
    assert read[0] == read[1] == np.moveaxis(constant, 0, -1).tobytes()


def test_absent_parts_are_not_what_lay_in_memory_before():
    constant = np.full((512, 300, 3), 777, np.uint16)
    read = read_in_foreign_memory(without_second_part(tiff(constant, photometric="rgb", rowsperstrip=200)))
    constant[200:400] = 0
    assert read[0] == read[1] == constant.tobytes()


def read_in_foreign_memory(data: bytes) -> list[bytes]:
    """The pixels of a file as two processes read it, whose fresh memory holds something else in each."""
    return [
        subprocess.run(
            [sys.executable, "-c", FOREIGN_MEMORY],
            input=data,
            stdout=subprocess.PIPE,
            check=True,
            timeout=120,
            env={
                # No memory straight from the system, which is empty.
                "GLIBC_TUNABLES": f"glibc.malloc.perturb={fill}:glibc.malloc.mmap_threshold=1073741824",
                "PYTHONPATH": ":".join(sys.path),
            },
        ).stdout
        for fill in (85, 170)
    ]


def without_second_part(data: bytes) -> bytes:
    """A sparse file: its second strip is not there."""
    sparse = bytearray(data)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for tag in (file.pages[0].tags["StripOffsets"], file.pages[0].tags["StripByteCounts"]):
            width = tag.valuebytecount // tag.count
            sparse[tag.valueoffset + width : tag.valueoffset + 2 * width] = bytes(width)
    return bytes(sparse)


@pytest.mark.parametrize("gray", [GRAY8, GRAY16, RGB8, RGB16], ids=["gray 8", "gray 16", "rgb 8", "rgb 16"])
@pytest.mark.parametrize("kind", ["unspecified", "unassalpha"])
def test_a_further_channel_is_alpha_only_where_the_file_says_so(gray, kind):
    color = gray if gray.ndim == 3 else gray[..., None]
    infrared = GENERATOR.integers(1, np.iinfo(gray.dtype).max, color.shape[:2], gray.dtype)
    photometric = "rgb" if gray.ndim == 3 else "minisblack"
    stored = np.concatenate([color, infrared[..., None]], axis=-1)
    photo = decode_photo(tiff(stored, photometric=photometric, planarconfig="contig", extrasamples=[kind]))
    np.testing.assert_array_equal(photo.color, np.broadcast_to(color, photo.color.shape))
    if kind == "unassalpha":
        np.testing.assert_array_equal(photo.alpha, infrared)
        assert photo.notes == ()
    else:
        assert photo.alpha is None
        assert "infrared" in photo.notes[0]
        np.testing.assert_array_equal(photo.rgb, photo.color)


def test_premultiplied_alpha_is_undone():
    alpha = np.full(GRAY8.shape, 128, np.uint8)
    stored = np.dstack([RGB8 * (128 / 255), alpha]).round().astype(np.uint8)
    photo = decode_photo(tiff(stored, photometric="rgb", extrasamples=["assocalpha"]))
    assert np.abs(photo.color.astype(int) - RGB8).max() <= 1


def test_every_page_is_a_photograph():
    pages = [np.full((20 + index, 30), 40 * index, np.uint8) for index in range(4)]
    data = tiff(*pages, compression="zlib")
    for index, page in enumerate(pages):
        photo = decode_photo(data, page=index)
        assert (photo.page, photo.pages, photo.pictures_left_out) == (index, 4, 0)
        np.testing.assert_array_equal(photo.rgb[..., 0], page)
        header = read_header(data, page=index)
        assert (header.width, header.height, header.pages) == (30, 20 + index, 4)
    assert refused(data, page=4) == "no_such_page: the file has 4 pages, and no page 5"
    assert "one page, and no page 2" in refused(tiff(GRAY8), page=1)


def with_copies(full, small, *, first: str, flagged: bool) -> bytes:
    """A file whose thumbnail stands before it, behind it, above it or below it."""
    file = io.BytesIO()
    flag = {"subfiletype": REDUCED} if flagged else {}
    with tifffile.TiffWriter(file) as out:
        match first:
            case "small":
                out.write(small, metadata=None, **flag)
                out.write(full, metadata=None)
            case "full":
                out.write(full, metadata=None)
                out.write(small, metadata=None, **flag)
            case "small above":
                out.write(small, metadata=None, subifds=1, **flag)
                out.write(full, metadata=None)
            case "full above":
                out.write(full, metadata=None, subifds=1)
                out.write(small, metadata=None, **flag)
    return file.getvalue()


@pytest.mark.parametrize("first", ["small", "full", "small above", "full above"])
def test_the_full_picture_is_read_and_not_a_reduced_copy(first):
    photo = decode_photo(with_copies(GRAY8, GRAY8[::4, ::4].copy(), first=first, flagged=True))
    assert photo.pages == 1
    np.testing.assert_array_equal(photo.rgb[..., 0], GRAY8)


@pytest.mark.parametrize("first", ["small above", "full above"])
def test_a_smaller_picture_below_or_above_another_is_its_copy_without_a_word_on_it(first):
    photo = decode_photo(with_copies(GRAY8, GRAY8[::2, ::2].copy(), first=first, flagged=False))
    assert photo.pages == 1
    assert photo.rgb.shape[:2] == GRAY8.shape


def test_the_levels_of_a_pyramid_are_no_pages():
    full = GENERATOR.integers(0, 256, (64, 96), np.uint8)
    photo = decode_photo(tiff(full, full[::2, ::2].copy(), full[::4, ::4].copy(), tile=(16, 16)))
    assert photo.pages == 1
    assert photo.rgb.shape[:2] == (64, 96)


def test_a_file_of_a_reduced_picture_alone_is_read_and_says_so():
    photo = decode_photo(tiff(GRAY8, subfiletype=REDUCED))
    assert photo.notes == ("the file holds a reduced picture alone",)


def test_a_cameras_raw_file_is_to_be_developed_first():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as out:
        out.write(RGB8[::4, ::4].copy(), photometric="rgb", metadata=None, subfiletype=REDUCED, subifds=1)
        out.write(GRAY16, photometric="cfa", metadata=None)
    assert "RAW file: develop it first" in refused(file.getvalue())
    assert "RAW file: develop it first" in refused(b"II*\0\x10\0\0\0CR\2\0" + bytes(40))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u4"])
@pytest.mark.parametrize("predictor", [False, True])
def test_floating_point_and_whole_numbers_of_32_bits(dtype, predictor):
    shares = GENERATOR.random((21, 17, 3))
    shares[0, 0] = 1
    stored = (shares * (2**32 - 1)).astype("u4") if dtype == "u4" else shares.astype(dtype)
    photo = decode_photo(tiff(stored, photometric="rgb", compression="zlib", predictor=predictor))
    assert photo.rgb.dtype == np.uint16
    assert np.abs(photo.rgb / 65535 - shares).max() < (1e-3 if dtype == "f2" else 1e-4)
    assert photo.notes == ()


@pytest.mark.parametrize(("white", "dtype"), [(255, "f4"), (65535, "f4"), (65535, "u4"), (65535, "i4"), (255, "i2")])
def test_white_that_the_file_does_not_say_is_guessed_and_said(white, dtype):
    stored = np.linspace(0, white, 600).reshape(20, 30).astype(dtype)
    photo = decode_photo(tiff(stored, photometric="minisblack"))
    assert np.abs(photo.rgb[..., 0] / 65535 - stored / white).max() < 1e-4
    assert f"white was taken to be {white}" in photo.notes[0]


def test_transparency_may_stand_behind_another_channel():
    alpha = GENERATOR.integers(1, 256, GRAY8.shape, np.uint8)
    stored = np.dstack([RGB8, GRAY8, alpha])
    photo = decode_photo(tiff(stored, photometric="rgb", extrasamples=["unspecified", "unassalpha"]))
    np.testing.assert_array_equal(photo.alpha, alpha)
    np.testing.assert_array_equal(photo.color, RGB8)
    assert "a channel beside the picture is left out" in photo.notes[0]


@pytest.mark.parametrize("number", [np.nan, np.inf, -3.0, 7.5, 1e20])
def test_floating_point_that_is_no_picture_is_refused_in_words(number):
    stored = np.full((9, 9), 0.5, np.float32)
    stored[4, 4] = number
    assert "save it with 16 bits" in refused(tiff(stored, photometric="minisblack"))


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12, 14])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_few_bits_and_white_as_zero(bits, photometric):
    codes = GENERATOR.integers(0, 1 << bits, (24, 16), np.uint8 if bits <= 8 else np.uint16)
    photo = decode_photo(tiff(codes if bits > 1 else codes.astype(bool), photometric=photometric, bitspersample=bits))
    shares = codes / ((1 << bits) - 1)
    white = np.iinfo(photo.rgb.dtype).max
    expected = 1 - shares if photometric == "miniswhite" else shares
    assert photo.rgb.dtype == (np.uint8 if bits <= 8 else np.uint16)
    assert np.abs(photo.rgb[..., 0] - expected * white).max() <= 0.51


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cmyk(dtype):
    white = np.iinfo(dtype).max
    inks = GENERATOR.integers(0, white, (12, 10, 4), dtype, endpoint=True)
    photo = decode_photo(tiff(inks, photometric="separated", planarconfig="contig"))
    expected = white * (1 - inks[..., :3] / white) * (1 - inks[..., 3:] / white)
    assert photo.rgb.dtype == dtype
    assert np.abs(photo.rgb - expected).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("photometric", ["cielab", "icclab"])
def test_lab_keeps_its_lightness(dtype, photometric):
    lightness = np.linspace(0, 100, 480).reshape(20, 24)
    white = 65280 if (dtype, photometric) == (np.uint16, "icclab") else np.iinfo(dtype).max
    neutral = 0 if photometric == "cielab" else 128 * (256 if dtype == np.uint16 else 1)
    lab = np.dstack([lightness / 100 * white, *[np.full(lightness.shape, neutral)] * 2]).round().astype(dtype)
    photo = decode_photo(tiff(lab, photometric=photometric))
    assert photo.rgb.dtype == dtype
    assert np.abs(rgb_to_lightness(photo.rgb) - lightness).max() < (0.02 if dtype == np.uint16 else 0.4)
    assert np.ptp(photo.rgb.astype(int), axis=-1).max() <= (20 if dtype == np.uint16 else 1)


def test_the_colours_of_lab_are_those_of_littlecms(encode):
    lab = Image.fromarray(RGB8 // 2 + 64).convert("RGB")
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    photo = decode_photo(encode(ImageCms.applyTransform(lab, transform), "TIFF"))
    assert np.abs(photo.rgb.astype(int) - np.asarray(lab)).mean() < 1.5


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_ycbcr(encode, compression):
    image = Image.fromarray(RGB8).convert("YCbCr")
    photo = decode_photo(encode(image, "TIFF", compression=compression))
    assert np.abs(photo.rgb.astype(int) - np.asarray(image.convert("RGB"))).max() <= 1


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_fax(encode, compression):
    image = Image.fromarray(GRAY8).convert("1")
    photo = decode_photo(encode(image, "TIFF", compression=compression))
    np.testing.assert_array_equal(photo.rgb[..., 0], np.asarray(image.convert("L")))


def test_a_palette_becomes_its_colours():
    colors = GENERATOR.integers(0, 256, (3, 256), np.uint16)
    data = tiff(GRAY8, photometric="palette", colormap=colors * 257)
    np.testing.assert_array_equal(decode_photo(data).rgb, np.moveaxis(colors[:, GRAY8], 0, -1))


def test_parts_that_are_absent_become_black_and_are_counted():
    data = tiff(RGB16, photometric="rgb", compression="zlib", rowsperstrip=10)
    photo = decode_photo(without_second_part(data))
    assert "1 of its 4 parts are absent" in photo.notes[0]
    assert (photo.rgb[10:20] == 0).all()
    np.testing.assert_array_equal(photo.rgb[20:], RGB16[20:])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("rgb", [RGB8, planes(RGB16)], ids=["8", "16, planar"])
def test_orientation_is_applied(rgb, orientation):
    planar = {"planarconfig": "separate"} if rgb.shape[0] == 3 else {}
    tag = (274, "H", 1, orientation, False)
    photo = decode_photo(tiff(rgb, photometric="rgb", extratags=[tag], **planar))
    upright = np.moveaxis(rgb, 0, -1) if planar else rgb
    turns = {3: (2, False), 6: (-1, False), 8: (1, False), 2: (0, True), 4: (2, True)}
    if orientation in turns:
        times, mirrored = turns[orientation]
        upright = np.rot90(upright, times)
        upright = upright[:, ::-1] if mirrored else upright
    elif orientation in (5, 7):
        upright = upright.swapaxes(0, 1) if orientation == 5 else np.rot90(upright.swapaxes(0, 1), 2)
    np.testing.assert_array_equal(photo.rgb, upright)


def test_a_bigtiff_with_words_keeps_them():
    photo = decode_photo(tiff(GRAY8, bigtiff=True, description="Plate 12", resolution=(300, 300), software="scanner"))
    kept = Image.Exif()
    kept.load(photo.metadata.exif)
    assert kept[0x010E] == "Plate 12"
    assert photo.metadata.dpi == (300, 300)


@pytest.mark.parametrize("compression", ["zlib", "lzw", None])
def test_what_breaks_off_is_truncated(compression):
    data = tiff(RGB16, photometric="rgb", planarconfig="contig", compression=compression, rowsperstrip=9)
    assert refused(data[: len(data) * 3 // 4]).startswith("truncated")


def test_a_part_that_reaches_past_the_end_is_truncated_though_its_decoder_would_make_it_up():
    data = tiff(planes(RGB8), photometric="rgb", planarconfig="separate", compression="jpeg", rowsperstrip=16)
    assert refused(data[:-40]).startswith("truncated")


def test_a_layout_of_samples_that_does_not_exist_is_refused():
    data = bytearray(tiff(planes(RGB16), photometric="rgb", planarconfig="separate", compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        data[file.pages[0].tags["PlanarConfiguration"].valueoffset] = 7
    assert refused(bytes(data)) == "unreadable: samples laid out in the way 7 are not read"


def test_what_a_decoder_leaves_out_is_black_and_not_what_lay_in_memory(monkeypatch):
    monkeypatch.setattr(tifffile.TiffPage, "segments", lambda *_, **__: iter(()))
    data = tiff(np.full((16, 24), 200, np.uint8), compression="zlib")
    left = [np.full((16, 24), 0xA5, np.uint8) for _ in range(8)]
    del left
    assert (decode_photo(data).rgb == 0).all()


def test_codes_of_lzw_that_stand_for_nothing_are_refused():
    data = bytearray(tiff(RGB16, photometric="rgb", planarconfig="contig", compression="lzw"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        [start] = file.pages[0].dataoffsets
    data[start : start + 4] = b"\x80\x7f\xff\xff"  # the table is emptied; codes that it does not have yet follow
    assert refused(bytes(data)).startswith("unreadable")


def test_too_few_parts_are_truncated():
    data = tiff(RGB16, photometric="rgb", compression="zlib", rowsperstrip=9)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        place = file.pages[0].tags["ImageLength"].valueoffset
    longer = data[:place] + (2000).to_bytes(2, "little") + data[place + 2 :]
    assert refused(longer).startswith("truncated")


def test_what_would_take_far_more_memory_than_its_pixels_is_refused():
    data = bytearray(tiff(GRAY8, tile=(16, 16)))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages[0].tags
    for name in ("TileWidth", "TileLength"):
        data[tags[name].valueoffset : tags[name].valueoffset + 2] = (65520).to_bytes(2, "little")
    assert "larger than the picture" in refused(bytes(data))
    many = tiff(np.zeros((4, 4, 40), np.uint8), photometric="minisblack", planarconfig="contig")
    assert "40 samples of 8 bits" in refused(many)


def test_directories_in_a_circle_are_read_once():
    data = bytearray(tiff(GRAY8, GRAY8))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        last = file.pages[1]
        end = last.offset + 2 + 12 * len(last.tags)
    data[end : end + 4] = data[4:8]
    assert decode_photo(bytes(data)).pages == 2


WITHOUT_EXTRA = """
import sys
sys.modules["imagecodecs"] = None
import numpy as np
from photo.decoding import decode_photo
from photo.errors import PhotoError
try:
    sys.stdout.buffer.write(decode_photo(sys.stdin.buffer.read()).rgb.tobytes())
except PhotoError as error:
    print(error)
"""


def without_extra(data: bytes) -> bytes:
    command = [sys.executable, "-c", WITHOUT_EXTRA]
    done = subprocess.run(
        command, input=data, capture_output=True, timeout=120, env={"PYTHONPATH": ":".join(sys.path)}, check=True
    )
    return done.stdout


@pytest.mark.parametrize(
    ("rgb", "layout"),
    [
        (RGB16, {"compression": "lzw"}),
        (RGB8, {"compression": "lzw", "tile": (16, 16)}),
        (planes(RGB16), {"compression": "zlib", "planarconfig": "separate"}),
        (planes(RGB16), {"planarconfig": "separate", "tile": (16, 16)}),
    ],
    ids=["lzw 16", "lzw 8, tiled", "planar, deflated", "planar, tiled"],
)
def test_usual_files_need_no_extra(rgb, layout):
    expected = np.moveaxis(rgb, 0, -1) if "planarconfig" in layout else rgb
    assert without_extra(tiff(rgb, photometric="rgb", **layout)) == expected.tobytes()


def test_what_needs_the_extra_names_it():
    data = tiff(planes(RGB16), photometric="rgb", planarconfig="separate", compression="lzw")
    assert b"the extra `formats`" in without_extra(data)


def test_an_inflated_bomb_is_stopped_without_the_extra():
    small = np.zeros((64, 64, 3), np.uint16)
    data = bytearray(tiff(small, photometric="rgb", compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages[0].tags
        offset, length = tags["StripOffsets"].valueoffset, tags["StripByteCounts"]
    bomb = zlib.compress(bytes(1 << 24))
    data[offset : offset + 4] = len(data).to_bytes(4, "little")
    width = 2 if length.dtype == 3 else 4
    data[length.valueoffset : length.valueoffset + width] = len(bomb).to_bytes(width, "little")
    assert b"far larger than its place" in without_extra(bytes(data) + bomb)
