"""Photographs from bytes: a file of any kind that photographs come in becomes upright sRGB, or a clear error."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photo.color_conversion import profile_of_result, to_srgb
from photo.errors import PhotoError
from photo.formats import PhotoFormat, ends_early, recognise_format
from photo.limits import MAX_PIXELS
from photo.metadata import Metadata, metadata_of_image, read_metadata
from photo.picture import Picture, check_page
from photo.pillow_reading import picture_of_image, picture_size, read_picture
from photo.sixteen_bit import to_eight_bits
from photo.tiff import read_tiff, tiff_size

Rgb = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Photo:
    """A decoded photograph.

    Attributes:
        color: [H, W, 3] sRGB, upright; what is wholly transparent is white. uint16 where the file held more than 8
            bits, else uint8; also uint8 where 16 bits came with a colour profile of a kind that `photo.icc_profile`
            does not know, as littlecms converts 8 bits only.
        format: of the file.
        metadata: what else the file says, for `encode_photo`.
        alpha: [H, W] of the same dtype, 0 where nothing is to be seen; None where everything is opaque.
        page: of a TIFF of several pages, the one this is, from 0.
        pages: that the file has, each of them to be had by `decode_photo(data, page=...)`.
        pictures_left_out: that the file holds beside its pages, and that cannot be had: further frames of an
            animation, further pictures of an MPO.
        notes: what a person should know of how the file was read, sentences without a full stop: pictures and
            channels that are left out, a broken colour profile, numbers that had to be guessed.
        directory: where in a TIFF the page's directory begins, in bytes.
        is_as_stored: whether every reader sees these pixels in the file: 8-bit RGB without alpha, neither converted nor
            turned.
    """

    color: Rgb
    format: PhotoFormat
    metadata: Metadata
    alpha: Rgb | None = None
    page: int = 0
    pages: int = 1
    pictures_left_out: int = 0
    notes: tuple[str, ...] = ()
    directory: int | None = None
    is_as_stored: bool = False

    @cached_property
    def rgb(self) -> Rgb:
        """The photograph as it shows on white paper: `color`, with what is transparent laid on white."""
        return self.color if self.alpha is None else on_white(self.color, self.alpha)


@dataclass(frozen=True)
class PhotoHeader:
    """What the header of a file says, before its picture is decoded.

    Attributes:
        format: of the file.
        width: in pixels, before the picture is turned upright.
        height: in pixels.
        pages: as in `Photo`.
        pixels_of_pages: of all pages together.
    """

    format: PhotoFormat
    width: int
    height: int
    pages: int
    pixels_of_pages: int


def decode_photo(data: bytes, *, page: int = 0, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photograph; of an animation or a camera's MPO the first picture.

    Args:
        data: the bytes of a file of one of the kinds of `PhotoFormat`.
        page: of a TIFF of several pages, from 0.
        max_pixels: largest height times width; judged from the header, before anything is decoded.

    Raises:
        PhotoError: with reason `empty`, `not_an_image`, `truncated`, `unreadable`, `too_many_pixels` or `no_such_page`.
    """
    [photo] = decode_pages(data, [page], max_pixels=max_pixels)
    return photo


def decode_pages(data: bytes, pages: Sequence[int], *, max_pixels: int = MAX_PIXELS) -> Iterator[Photo]:
    """Decode pages of a photograph one after another, as `decode_photo`; what tells them apart is read once for all.

    Args:
        data: as for `decode_photo`.
        pages: from 0.
        max_pixels: of each of them.

    Raises:
        PhotoError: as `decode_photo`; where several pages are wanted it names the page, and none comes after it.
    """
    format = _format_of(data)
    pictures = _pictures(data, format, pages, max_pixels)
    for page in pages:
        try:
            yield _next_photo(pictures, data, format, page)
        except PhotoError as error:
            if len(pages) == 1:
                raise
            raise PhotoError(error.reason, f"page {page + 1}: {error.detail}") from error


def read_header(data: bytes, *, page: int = 0, max_pixels: int = MAX_PIXELS) -> PhotoHeader:
    """Return what the header of a file says; nothing is decoded, so this is cheap and safe for a file from anywhere.

    Raises:
        PhotoError: as `decode_photo`, for what the header shows.
    """
    format = _format_of(data)
    with _clear_errors(data, format):
        if format is PhotoFormat.TIFF:
            return PhotoHeader(format, *tiff_size(data, page, max_pixels))
        check_page(page, 1)
        width, height = picture_size(data, format, max_pixels)
        return PhotoHeader(format, width, height, 1, width * height)


def photo_from_image(image: Image.Image) -> Photo:
    """Return the photograph in a Pillow image of any mode; EXIF orientation and colour profile as in `decode_photo`.

    The format is the image's own, or "PNG" where it was made in memory.

    Raises:
        PhotoError: with reason `unreadable` or `truncated`, when its pixels cannot be loaded or are of a kind no
            photograph has.
    """
    try:
        image.load()
        name = PhotoFormat.__members__.get(image.format or "", PhotoFormat.PNG)
        return _photo(picture_of_image(image), name, 0, metadata_of_image(image))
    except PhotoError:
        raise
    except Exception as error:  # a lazily opened file is decoded here
        reason = "truncated" if "truncated" in str(error).lower() else "unreadable"
        raise PhotoError(reason, f"the image cannot be used: {error}") from error


def on_white(color: Rgb, alpha: Rgb) -> Rgb:
    """Lay [H, W, 3] on white by its alpha channel [H, W] of the same dtype, uint8 or uint16."""
    white = int(np.iinfo(color.dtype).max)
    flat: Rgb = np.empty_like(color)
    for row in range(len(color)):  # a row at a time: the products would hold twice the photograph
        share = alpha[row, :, None].astype(np.uint32)
        flat[row] = (color[row] * share + white * (white - share) + white // 2) // white
    return flat


def _format_of(data: bytes) -> PhotoFormat:
    if not data:
        raise PhotoError("empty", "the file is empty (0 bytes)")
    return recognise_format(data)


@contextmanager
def _clear_errors(data: bytes, format: PhotoFormat) -> Iterator[None]:
    """Turn whatever a decoder throws at hostile bytes into a PhotoError."""
    try:
        yield
    except PhotoError as error:
        if error.reason == "unreadable" and format is PhotoFormat.TIFF and ends_early(data, format):
            raise PhotoError("truncated", f"the TIFF file breaks off after {len(data)} bytes") from error
        raise
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError("too_many_pixels", f"the {format} file claims too much: {error}") from error
    except Exception as error:
        words = str(error) or type(error).__name__
        if "truncated" in words.lower() or ends_early(data, format):
            raise PhotoError("truncated", f"the {format} file breaks off after {len(data)} bytes") from error
        raise PhotoError("unreadable", f"the {format} file cannot be decoded: {words}") from error


def _pictures(data: bytes, format: PhotoFormat, pages: Iterable[int], max_pixels: int) -> Iterator[Picture]:
    if format is PhotoFormat.TIFF:
        yield from read_tiff(data, pages, max_pixels)
        return
    for page in pages:
        check_page(page, 1)
        yield read_picture(data, format, max_pixels)


def _next_photo(pictures: Iterator[Picture], data: bytes, format: PhotoFormat, page: int) -> Photo:
    with _clear_errors(data, format):
        picture = next(pictures)
        return _photo(picture, format, page, read_metadata(data, format, picture.directory))


def _photo(picture: Picture, format: PhotoFormat, page: int, metadata: Metadata) -> Photo:
    """Take a picture to upright sRGB.

    Args:
        picture: as its file stores it.
        format: of the file.
        page: of a TIFF.
        metadata: that are no matter of its pixels.
    """
    color, note = to_srgb(picture)
    if 0 in color.shape:
        raise PhotoError("unreadable", f"it is {color.shape[1]} x {color.shape[0]}: there are no pixels")
    is_as_stored = color is picture.samples.color and color.dtype == np.uint8
    color, alpha = _upright(color, picture.orientation), picture.samples.alpha
    if alpha is not None:
        if alpha.dtype != color.dtype:  # 16 bits that became 8
            alpha = to_eight_bits(alpha)
        color = np.require(color, requirements="W")  # a view of what a decoder keeps to itself is copied
        alpha = _upright(alpha, picture.orientation)
        color[alpha == 0] = np.iinfo(color.dtype).max
    return Photo(
        color,
        format,
        replace(metadata, icc=profile_of_result(picture.icc), dpi=picture.dpi or metadata.dpi_of_exif()),
        alpha,
        page,
        picture.pages,
        picture.pictures_left_out,
        picture.noting(note).notes,
        picture.directory,
        is_as_stored and picture.orientation == 1 and picture.samples.alpha is None,
    )


def _upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo an EXIF orientation 1..8 (EXIF 2.32, tag 0x0112) of [H, W, ...]."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
