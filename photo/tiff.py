"""Reads TIFF files: which of their directories are pages, and the samples of one, whatever their layout.

tifffile knows the layout; with imagecodecs, of the extra `formats`, it knows nearly every compression. What it cannot
read without, or knows less of (fax, JPEG and YCbCr), Pillow reads, and of 16 bits OpenCV, where Pillow agrees.
"""

import importlib.util
import io
import logging
import lzma
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from photo.errors import PhotoError
from photo.formats import DEVELOP_FIRST
from photo.lab import cie_lab, icc_lab, lab_to_srgb
from photo.limits import MAX_PAGES
from photo.metadata import believable_resolution
from photo.picture import Picture, Samples, check_page, check_pixels, opaque_or
from photo.pillow_reading import array_of
from photo.sample_values import to_unsigned

if TYPE_CHECKING:
    import tifffile

# Values of PhotometricInterpretation (TIFF 6.0, and TIFF/EP and DNG for the last two).
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _MASK, _SEPARATED, _YCBCR = 0, 1, 2, 3, 4, 5, 6
_CIE_LAB, _ICC_LAB = 8, 9
_CAMERA_RAW = (32803, 34892)  # color filter array, linear RAW
_CHANNELS = {
    _WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _SEPARATED: 4, _YCBCR: 3, _CIE_LAB: 3, _ICC_LAB: 3
}  # fmt: skip

# Bits of NewSubfileType.
_REDUCED, _TRANSPARENCY_MASK = 1, 4

# Values of Compression.
_NONE, _FAX, _LZW, _OLD_JPEG, _JPEG = 1, (2, 3, 4), 5, 6, 7
_PLAIN = (_NONE, 5, 8, 32946, 32773, 34925, 50000)  # LZW, deflate (twice), PackBits, LZMA, Zstandard
_DEFLATE, _LZMA = (8, 32946), 34925
# Whole pictures of another kind, which say their own sizes.
_PICTURES = {33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 50001: "WebP", 7: "JPEG"}
_READ_WITHOUT_IMAGECODECS = (_NONE, *_DEFLATE, 32773, _LZMA)

# Kinds of ExtraSamples.
_ASSOCIATED_ALPHA, _ALPHA = 1, 2

_MOST_BYTES_PER_PIXEL = 32

_IMAGECODECS = "it takes the extra `formats` to read (pip install '.[formats]' in a clone), or save it uncompressed"


@dataclass(frozen=True)
class _Directory:
    """A directory that holds a full picture.

    Attributes:
        page: as tifffile has it.
        index: its place in the chain of directories; None for one that another one points to.
    """

    page: "tifffile.TiffPage"
    index: int | None


@dataclass(frozen=True)
class _Album:
    """The directories of a TIFF that are pages, and a note on what is none."""

    pages: list[_Directory]
    note: str | None


def read_tiff(data: bytes, pages: Iterable[int], max_pixels: int) -> Iterator[Picture]:
    """Read pages of a TIFF, one after another; its chain of directories is followed once for all of them.

    Raises:
        PhotoError: it has no such page, is too large, a camera's RAW file, or of a kind that is not read.
        Exception: of any kind, of a decoder that met hostile bytes.
    """
    with _opened(data) as file:
        album = _album(file)
        for page in pages:
            check_page(page, len(album.pages))
            chosen = album.pages[page]
            _check(chosen.page, max_pixels)
            yield replace(_picture(chosen, data), pages=len(album.pages)).noting(album.note)


def tiff_size(data: bytes, page: int, max_pixels: int) -> tuple[int, int, int, int]:
    """Return width and height of a page as its directory says them, the number of pages, and the pixels of all.

    Raises:
        PhotoError, Exception: as `read_tiff`, for what the directory shows.
    """
    with _opened(data) as file:
        album = _album(file)
        check_page(page, len(album.pages))
        found = album.pages[page].page
        _check(found, max_pixels)
        total = sum(_area(one.page) for one in album.pages)
        return found.imagewidth, found.imagelength, len(album.pages), total


def _opened(data: bytes) -> "tifffile.TiffFile":
    import tifffile

    log = logging.getLogger("tifffile")
    if not log.handlers:
        log.addHandler(logging.NullHandler())  # what is wrong is told by our own errors
    return tifffile.TiffFile(io.BytesIO(data), name="scan.tif")


def _album(file: "tifffile.TiffFile") -> _Album:
    """Tell the pages of a file from reduced copies of them (thumbnails, pyramids) and from masks."""
    import tifffile

    pages: list[_Directory] = []
    reduced: list[_Directory] = []
    masks = 0
    previous: tifffile.TiffPage | None = None
    seen: set[int] = set()
    for index, page in enumerate(file.pages):
        if page.offset in seen:
            break  # the chain of directories runs in a circle
        seen.add(page.offset)
        if index + len(page.subifds or ()) >= MAX_PAGES:
            raise PhotoError("unreadable", f"the TIFF file has more than {MAX_PAGES} directories")
        if not isinstance(page, tifffile.TiffPage) or not page.imagewidth:
            continue
        children = [child for child in (page.pages or ()) if isinstance(child, tifffile.TiffPage)]
        if any(part.photometric in _CAMERA_RAW for part in (page, *children)):
            raise PhotoError("unreadable", DEVELOP_FIRST)
        if page.subfiletype & _TRANSPARENCY_MASK or page.photometric == _MASK:
            masks += 1
            continue
        is_reduced = bool(page.subfiletype & _REDUCED) or _halves(previous, page)
        previous = page
        full = [_Directory(child, None) for child in children if _is_full(child, page, is_reduced)]
        if is_reduced or any(_area(child.page) > _area(page) for child in full):
            reduced.append(_Directory(page, index))
        else:
            pages.append(_Directory(page, index))
        pages += full
    if not pages and not reduced:
        raise PhotoError("unreadable", "the TIFF file holds no picture")
    note = None
    if masks:
        note = f"{masks} transparency mask{'s' * (masks > 1)} of the TIFF file {'are' if masks > 1 else 'is'} left out"
    if not pages:
        pages, note = [max(reduced, key=lambda one: _area(one.page))], "the file holds a reduced picture alone"
    return _Album(pages, note)


def _area(page: "tifffile.TiffPage") -> int:
    return int(page.imagewidth * page.imagelength)


def _is_full(child: "tifffile.TiffPage", parent: "tifffile.TiffPage", parent_is_reduced: bool) -> bool:
    """Return whether a directory that another one points to holds a full picture, not a smaller copy."""
    if child.subfiletype & (_REDUCED | _TRANSPARENCY_MASK) or child.photometric == _MASK or not child.imagewidth:
        return False
    return parent_is_reduced or _area(child) >= _area(parent)


def _halves(previous: "tifffile.TiffPage | None", page: "tifffile.TiffPage") -> bool:
    """Return whether a directory without a word on it is the next level of a pyramid: tiles, half as wide and high."""
    if previous is None or not (page.is_tiled and previous.is_tiled):
        return False
    for factor in (2, 4, 8):
        wide, high = previous.imagewidth / factor, previous.imagelength / factor
        if abs(page.imagewidth - wide) <= 1 and abs(page.imagelength - high) <= 1 and min(wide, high) > 4:
            return True
    return False


def _check(page: "tifffile.TiffPage", max_pixels: int) -> None:
    """Refuse what would take far more memory than its pixels, by its directory alone."""
    check_pixels(page.imagewidth, page.imagelength, max_pixels)
    if page.imagedepth != 1 or page.photometric not in _CHANNELS:
        kind = "has depth" if page.imagedepth != 1 else f"is of the photometric kind {page.photometric}"
        raise PhotoError("unreadable", f"the TIFF file {kind}, which is not read: save it as RGB or gray")
    if page.samplesperpixel > 1 and page.planarconfig not in (1, 2):  # together, in separate planes
        raise PhotoError("unreadable", f"samples laid out in the way {page.planarconfig} are not read")
    bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    pixel = -(-bits // 8) * page.samplesperpixel
    if pixel > _MOST_BYTES_PER_PIXEL:
        raise PhotoError("unreadable", f"{page.samplesperpixel} samples of {bits} bits a pixel are not a photograph's")
    tile = page.tilewidth * page.tilelength * page.tiledepth if page.is_tiled else 0
    if tile > max(4 * _area(page), 1 << 24):
        raise PhotoError("unreadable", f"tiles of {page.tilewidth} x {page.tilelength} are larger than the picture")


def _picture(chosen: _Directory, data: bytes) -> Picture:
    """Read the samples of a directory, by whoever knows its kind best."""
    page = chosen.page
    picture = Picture(
        Samples(np.empty((0, 0, 1), np.uint8), "GRAY"),
        exif=_tags(page, data),
        dpi=_resolution(page),
        icc=page.tags.valueof(34675),
        directory=page.offset,
    )
    _check_segments(page)
    whole_chroma = page.tags.valueof(530, (2, 2)) == (1, 1)  # YCbCrSubSampling
    if page.photometric == _YCBCR and not whole_chroma and page.compression == _NONE:
        raise PhotoError("unreadable", "uncompressed YCbCr with chroma of half its size is not read: save it as RGB")
    is_plain_ycbcr = page.photometric == _YCBCR and whole_chroma and page.compression in _PLAIN
    if (page.photometric == _YCBCR and not is_plain_ycbcr) or page.compression in (*_FAX, _OLD_JPEG, _JPEG):
        by_pillow = _by_pillow(chosen, data)
        if by_pillow is not None:
            return replace(picture, samples=by_pillow)
    if _has_imagecodecs() or _is_plain(page):
        samples, notes = _samples(page, _decoded(page))
        orientation = page.tags.valueof(274, 1)
        return replace(picture, samples=samples, orientation=orientation if orientation in range(1, 9) else 1).noting(
            *notes
        )
    fallback = _by_pillow(chosen, data) or _by_opencv(chosen, data)
    if fallback is None:
        raise PhotoError("unreadable", f"the TIFF file is compressed in the way {_name(page)}: {_IMAGECODECS}")
    return replace(picture, samples=fallback)


def _tags(page: "tifffile.TiffPage", data: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.bigtiff, exif.endian = page.parent.is_bigtiff, page.parent.byteorder
    try:
        exif.load_from_fp(io.BytesIO(data), page.offset)
    except Exception:  # broken tags: the picture goes on without them
        return Image.Exif()
    return exif


def _name(page: "tifffile.TiffPage") -> str:
    return str(getattr(page.compression, "name", page.compression))


def _has_imagecodecs() -> bool:
    try:
        return importlib.util.find_spec("imagecodecs") is not None
    except ValueError:
        return False


def _is_plain(page: "tifffile.TiffPage") -> bool:
    """Return whether tifffile reads a directory without imagecodecs."""
    return (
        page.compression in _READ_WITHOUT_IMAGECODECS
        and page.predictor in (1, 2)
        and page.fillorder == 1
        and page.bitspersample in (1, 2, 4, 8, 16, 32, 64)
    )


def _decoded(page: "tifffile.TiffPage") -> NDArray[Any]:
    """Return the samples of a directory, [H, W, S] of any dtype, by tifffile; absent parts are 0."""
    if page.compression not in _PLAIN and page.compression not in _PICTURES:
        raise PhotoError(
            "unreadable", f"a TIFF file of the compression {_name(page)} is not read: save it with LZW or deflate"
        )
    if page.dtype is None or np.dtype(page.dtype).kind not in "buif":
        raise PhotoError(
            "unreadable", f"samples of {page.bitspersample} bits of the format {page.sampleformat} are not read"
        )
    pixels = np.zeros(page.shaped, page.dtype)  # what a decoder leaves out must be nothing, not what lay there before
    page.asarray(out=pixels, maxworkers=1)
    planes, _, height, width, samples = page.shaped
    if planes > 1:
        return np.moveaxis(pixels.reshape(planes, height, width), 0, -1)
    return pixels.reshape(height, width, samples)


def _check_segments(page: "tifffile.TiffPage") -> None:
    """Refuse a directory with too few strips or tiles, or one of them that claims to be far larger than it may be."""
    count = int(np.prod(page.chunked, dtype=np.int64))
    if min(len(page.dataoffsets), len(page.databytecounts)) < count:
        raise PhotoError("truncated", f"the TIFF file has {len(page.dataoffsets)} of the {count} parts of its picture")
    if not any(page.databytecounts):
        raise PhotoError("unreadable", "the TIFF file holds none of the parts of its picture")
    size = page.parent.filehandle.size
    ends = (offset + length for offset, length in zip(page.dataoffsets, page.databytecounts, strict=False))
    if page.compression != _NONE and any(end > size for end in ends):
        raise PhotoError("truncated", f"the TIFF file breaks off after {size} bytes, in the midst of its picture")
    limit = max(int(np.prod(page.chunks, dtype=np.int64)), 1)
    bounded = page.compression in (*_DEFLATE, _LZMA) and not _has_imagecodecs()
    is_lzw = page.compression == _LZW and _has_imagecodecs()
    if not bounded and not is_lzw and page.compression not in _PICTURES:
        return
    view = page.parent.filehandle
    for index, (offset, length) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=False)):
        if not (offset and length):
            continue
        view.seek(offset)
        segment = view.read(length)
        if bounded:
            _check_inflated(segment, page.compression, limit * np.dtype(page.dtype).itemsize + 4096)
        elif is_lzw:
            _check_lzw(page, index, segment)
        elif (width_height := _embedded_size(segment)) is not None and np.prod(width_height) > 4 * limit + 65_536:
            raise PhotoError("too_many_pixels", "a part of the TIFF file claims to be far larger than its place")


def _check_lzw(page: "tifffile.TiffPage", index: int, segment: bytes) -> None:
    """Let libtiff read a strip or tile first: of damaged ones imagecodecs takes what lies in memory for codes.

    Raises:
        OSError: the codes are damaged.
    """
    if page.is_tiled:
        rows, columns = page.tilelength, page.tilewidth
    else:
        strips = -(-page.imagelength // page.rowsperstrip)
        rows = min(page.rowsperstrip, page.imagelength - index % strips * page.rowsperstrip)
        columns = page.imagewidth
    bits = page.bitspersample if isinstance(page.bitspersample, int) else sum(page.bitspersample)
    width = -(-columns * (page.samplesperpixel if page.planarconfig == 1 else 1) * bits // 8)
    entries = [
        (256, width), (257, rows), (258, 8), (259, _LZW), (262, 1), (266, int(page.fillorder)), (273, 0), (277, 1),
        (278, rows), (279, len(segment)),
    ]  # fmt: skip
    start = 8 + 2 + 12 * len(entries) + 4
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, start if tag == 273 else value) for tag, value in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    TiffImagePlugin.TiffImageFile(io.BytesIO(head + segment)).load()


def _check_inflated(segment: bytes, compression: int, limit: int) -> None:
    """Refuse what would become more than so many bytes: the codecs of a plain install do not stop by themselves."""
    stream = lzma.LZMADecompressor() if compression == _LZMA else zlib.decompressobj()
    if len(stream.decompress(segment, limit)) == limit:
        raise PhotoError("too_many_pixels", "a part of the TIFF file becomes far larger than its place")


def _embedded_size(segment: bytes) -> tuple[int, int] | None:
    try:
        with Image.open(io.BytesIO(segment), formats=("JPEG", "JPEG2000", "WEBP")) as image:
            return image.size
    except Image.DecompressionBombError:
        return 1 << 30, 1 << 30
    except Exception:  # broken: its decoder will say so
        return None


def _samples(page: "tifffile.TiffPage", pixels: NDArray[Any]) -> tuple[Samples, list[str]]:
    """Return the samples by what their directory says they are."""
    photometric, notes = page.photometric, []
    channels = min(_CHANNELS[photometric], pixels.shape[2])
    if channels == 2:  # two of three: it is not what it says
        raise PhotoError("unreadable", f"{pixels.shape[2]} samples a pixel are too few for their photometric kind")
    missing = sum(not (offset and size) for offset, size in zip(page.dataoffsets, page.databytecounts, strict=False))
    if missing:
        notes.append(f"{missing} of its {len(page.dataoffsets)} parts are absent from the file and became black")
    if photometric == _SEPARATED and page.tags.valueof(332, 1) != 1:
        raise PhotoError("unreadable", "its inks are not cyan, magenta, yellow and black: save it as RGB")
    if photometric in (_CIE_LAB, _ICC_LAB):
        bits = 8 * pixels.dtype.itemsize
        if bits not in (8, 16) or pixels.dtype.kind == "f":
            raise PhotoError("unreadable", f"L*a*b* of {bits} bits is not read: save it as RGB")
        lab = (cie_lab if photometric == _CIE_LAB else icc_lab)(pixels[..., :channels])
        color, space = lab_to_srgb(lab, np.uint8 if bits == 8 else np.uint16), "RGB"
    elif photometric == _PALETTE:
        color, space = _through_palette(page, pixels[..., 0]), "RGB"
    else:
        color, note = to_unsigned(pixels[..., :channels], page.bitspersample, _largest(page))
        notes.append(note or "")
        space = {1: "GRAY", 3: "RGB", 4: "CMYK"}[channels]
        if photometric == _WHITE_IS_ZERO:
            color = ~color
        elif photometric == _YCBCR and page.compression in _PLAIN:
            color = _from_ycbcr(page, color)
    alpha, kind, note = _alpha(page, pixels, color, _CHANNELS[photometric])
    notes.append(note or "")
    if alpha is not None and kind == _ASSOCIATED_ALPHA:
        color = _not_premultiplied(color, alpha)
    return Samples(np.ascontiguousarray(color), space, opaque_or(alpha)), notes


def _largest(page: "tifffile.TiffPage") -> float | None:
    """Return what the file says white is, of samples that have no such number by themselves (SMaxSampleValue)."""
    value = page.tags.valueof(341)
    value = max(value) if isinstance(value, tuple) and value else value
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _alpha(
    page: "tifffile.TiffPage", pixels: NDArray[Any], color: NDArray[Any], channels: int
) -> tuple[NDArray[Any] | None, int, str | None]:
    """Return the alpha channel, where a sample beside the colour is one, its kind, and a note on those that are not."""
    extra = pixels.shape[2] - channels
    if extra <= 0:
        return None, 0, None
    kinds = [int(kind) for kind in page.extrasamples][:extra]
    place = next((place for place, kind in enumerate(kinds) if kind in (_ASSOCIATED_ALPHA, _ALPHA)), None)
    alpha = None
    if place is not None and pixels.dtype.kind in "ubf":
        alpha, _ = to_unsigned(pixels[..., channels + place], page.bitspersample, _largest(page))
        alpha = alpha if alpha.dtype == color.dtype else None
    left_out = extra - (alpha is not None)
    note = None
    if left_out:
        which = "a channel beside the picture is" if left_out == 1 else f"{left_out} channels beside the picture are"
        note = f"{which} left out, such as a scanner's infrared one"
    return alpha, 0 if place is None else kinds[place], note


def _not_premultiplied(color: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Undo associated alpha (TIFF 6.0, section 18)."""
    white = np.iinfo(color.dtype).max
    share = np.maximum(alpha, 1)[..., None].astype(np.float32) / white
    straight: NDArray[Any] = np.minimum(color / share + 0.5, white).astype(color.dtype)
    return straight


def _from_ycbcr(page: "tifffile.TiffPage", ycbcr: NDArray[Any]) -> NDArray[Any]:
    """Return RGB of YCbCr (TIFF 6.0, section 21), whatever its coefficients and the range of its numbers."""
    white = float(np.iinfo(ycbcr.dtype).max)
    half = (white + 1) / 2
    red, green, blue = _numbers(page, 529, 3) or (0.299, 0.587, 0.114)
    reference = _numbers(page, 532, 6) or (0.0, white, half, white, half, white)
    spans = (white, half - 1, half - 1)
    y, cb, cr = (
        (ycbcr[..., channel].astype(np.float32) - low) * (span / max(high - low, 1e-6))
        for channel, (low, high, span) in enumerate(zip(reference[::2], reference[1::2], spans, strict=True))
    )
    r, b = y + (2 - 2 * red) * cr, y + (2 - 2 * blue) * cb
    g = (y - blue * b - red * r) / max(green, 1e-6)
    rgb: NDArray[Any] = (np.clip(np.stack([r, g, b], axis=-1), 0, white) + 0.5).astype(ycbcr.dtype)
    return rgb


def _numbers(page: "tifffile.TiffPage", tag: int, count: int) -> tuple[float, ...] | None:
    """Return so many rational numbers of a tag; None where it has others."""
    value = page.tags.valueof(tag)
    if not isinstance(value, tuple) or len(value) != 2 * count or not all(value[1::2]):
        return None
    return tuple(numerator / denominator for numerator, denominator in zip(value[::2], value[1::2], strict=True))


def _through_palette(page: "tifffile.TiffPage", indices: NDArray[Any]) -> NDArray[np.uint8]:
    """Return uint8 [H, W, 3]; a palette has 16 bits, of which writers fill the upper 8 or repeat them."""
    palette = np.asarray(page.colormap)
    if indices.dtype.itemsize > 2 or palette.ndim != 2 or palette.shape[0] != 3:
        raise PhotoError("unreadable", "the palette of the TIFF file cannot be used")
    narrow = palette if palette.max() < 256 else palette >> 8
    colors: NDArray[np.uint8] = narrow.T.astype(np.uint8)
    return np.take(colors, indices, axis=0, mode="clip")


def _by_pillow(chosen: _Directory, data: bytes) -> Samples | None:
    """Return the samples as Pillow reads them, turned upright; None for a kind that it does not know to the full."""
    page = chosen.page
    bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    beside = page.samplesperpixel - _CHANNELS[page.photometric]
    if chosen.index is None or bits > 8 or beside > 0 or page.planarconfig != 1:
        return None
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(_beginning_with(page, data)))
    if image.size not in ((page.imagewidth, page.imagelength), (page.imagelength, page.imagewidth)):
        return None
    image.load()
    if image.mode in ("1", "L"):
        return Samples(array_of(image, "L"), "GRAY")
    if image.mode == "CMYK":
        return Samples(array_of(image), "CMYK")
    return Samples(array_of(image, "RGB"), "RGB")


def _beginning_with(page: "tifffile.TiffPage", data: bytes) -> bytes:
    """Return a file whose first directory is this one: Pillow would read all those before it, for each page again."""
    kind, at = ("Q", 8) if page.parent.is_bigtiff else ("I", 4)
    place = struct.pack(page.parent.byteorder + kind, page.offset)
    return data[:at] + place + data[at + len(place) :]


def _by_opencv(chosen: _Directory, data: bytes) -> Samples | None:
    """Return 16-bit gray or RGB as OpenCV reads it, turned upright; None unless Pillow reads the same upper 8 bits."""
    page = chosen.page
    wanted = page.photometric in (_BLACK_IS_ZERO, _RGB) and page.samplesperpixel == _CHANNELS[page.photometric]
    if chosen.index != 0 or page.bitspersample != 16 or page.planarconfig != 1 or not wanted:
        return None
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
    image.load()
    seen = np.asarray(image)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.shape != seen.shape:
        return None
    if pixels.ndim == 2:
        return Samples(pixels[..., None].astype(np.uint16), "GRAY") if (pixels == seen).all() else None
    color = pixels[..., ::-1].astype(np.uint16)
    return Samples(np.ascontiguousarray(color), "RGB") if ((color >> 8) == seen).all() else None


def _resolution(page: "tifffile.TiffPage") -> tuple[float, float] | None:
    try:
        scale = {2: 1.0, 3: 2.54}[page.tags.valueof(296, 2)]
        values = [page.tags.valueof(code) for code in (282, 283)]
        horizontal, vertical = (scale * value[0] / value[1] for value in values)
    except Exception:  # absent or broken
        return None
    return believable_resolution(horizontal, vertical)
