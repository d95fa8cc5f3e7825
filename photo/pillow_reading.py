"""Reads pictures of every kind but TIFF: by Pillow, and HEIC by libheif."""

import io
import struct
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from photo.deep_samples import deep_samples
from photo.errors import PhotoError
from photo.formats import PhotoFormat
from photo.lab import lab_to_srgb
from photo.metadata import is_adobe_rgb, orientation, resolution
from photo.picture import Picture, Samples, check_pixels, opaque_or
from photo.rgb_spaces import adobe_rgb, of_code_points, png_space
from photo.sample_values import to_unsigned

_STRIP_PIXELS = 2**20  # converted at a time

_NEEDS_FORMATS = (
    "a HEIC file takes the extra `formats` to read: pip install '.[formats]' in a clone, or save it as JPEG"
)

_CODE_POINTS = b"colrnclx"  # the box that holds AVIF's (ISO/IEC 14496-12, 12.1.5)

# Kinds of an MPO's pictures that are smaller copies of the first (CIPA DC-007, table 5).
_SMALLER_COPIES = (0x010001, 0x010002)


def read_picture(data: bytes, format: PhotoFormat, max_pixels: int) -> Picture:
    """Read the first picture of a file.

    Raises:
        PhotoError: it is too large, or of a kind that is not read.
        Exception: of any kind, of a decoder that met hostile bytes.
    """
    if format is PhotoFormat.HEIF:
        return _heif_picture(data, max_pixels)
    image = _opened(data, format, max_pixels)
    more, note = _more_pictures(image, data)
    image.load()  # before anything else: reading the EXIF data of a PNG loads it too, and swallows what is wrong
    samples, shallow = deep_samples(image, data, format)
    picture = replace(picture_of_image(image, samples), pictures_left_out=more).noting(note, shallow)
    return _in_its_space(picture, data, format)


def picture_size(data: bytes, format: PhotoFormat, max_pixels: int) -> tuple[int, int]:
    """Return width and height as the header says them.

    Raises:
        PhotoError, Exception: as `read_picture`, for what the header shows.
    """
    if format is PhotoFormat.HEIF:
        width, height = _opened_heif(data, max_pixels).size
        return width, height
    return _opened(data, format, max_pixels).size


def picture_of_image(image: Image.Image, samples: Samples | None = None) -> Picture:
    """Return the picture in a loaded image of Pillow, with its samples where they are known better than by Pillow."""
    exif = _exif_of(image)
    icc = image.info.get("icc_profile")
    return Picture(
        samples or _samples(image),
        orientation(exif),
        exif,
        resolution(image.info),
        icc or None,
        adobe_rgb() if is_adobe_rgb(exif) else None,
    )


def _exif_of(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:  # broken: the picture goes on without it
        return Image.Exif()


def _in_its_space(picture: Picture, data: bytes, format: PhotoFormat) -> Picture:
    """Return a picture with what its file says of its numbers beside a profile: chunks of a PNG, AVIF's code points."""
    if format is PhotoFormat.AVIF and not picture.icc and (start := data.find(_CODE_POINTS)) >= 0:
        primaries, transfer = struct.unpack_from(">HH", data[start : start + 12].ljust(12, b"\0"), len(_CODE_POINTS))
        try:
            space, hdr = of_code_points(primaries, transfer)
        except KeyError:
            return picture
        return replace(picture, space=space).noting(hdr)
    if format is not PhotoFormat.PNG:
        return picture
    has_profile, space, hdr = png_space(data)
    icc = picture.icc if has_profile else None
    return replace(picture, icc=icc, space=None if has_profile else space or picture.space).noting(hdr)


def _opened(data: bytes, format: PhotoFormat, max_pixels: int) -> ImageFile.ImageFile:
    # The plugins are called directly, not through Image.open: that one would judge the size by Pillow's global limit,
    # and might ask a decoder that has no business with photographs.
    from PIL import (
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        Jpeg2KImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        WebPImagePlugin,
    )

    if format is PhotoFormat.AVIF and not AvifImagePlugin.SUPPORTED:
        raise PhotoError("unreadable", "an AVIF file takes a Pillow with AVIF to read: pip install --upgrade pillow")
    if format is PhotoFormat.WEBP and data[12:16] == b"VP8X" and len(data) >= 30:  # whose reader allocates at once
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        check_pixels(width, height, max_pixels)
    readers: dict[PhotoFormat, type[ImageFile.ImageFile]] = {
        PhotoFormat.JPEG: JpegImagePlugin.JpegImageFile,
        PhotoFormat.PNG: PngImagePlugin.PngImageFile,
        PhotoFormat.WEBP: WebPImagePlugin.WebPImageFile,
        PhotoFormat.BMP: BmpImagePlugin.BmpImageFile,
        PhotoFormat.GIF: GifImagePlugin.GifImageFile,
        PhotoFormat.AVIF: AvifImagePlugin.AvifImageFile,
        PhotoFormat.JPEG2000: Jpeg2KImagePlugin.Jpeg2KImageFile,
    }
    image = readers[format](io.BytesIO(data))
    check_pixels(*image.size, max_pixels)
    return image


def _more_pictures(image: ImageFile.ImageFile, data: bytes) -> tuple[int, str | None]:
    """Return how many pictures a file holds beside its first one, and a note that says so."""
    if image.format == "JPEG":
        more = _more_of_mpo(image, data)
        return more, f"{_pictures(more)} of the camera's MPO file {_are(more)} not coloured" if more else None
    try:
        more = getattr(image, "n_frames", 1) - 1
    except Exception:  # a later frame is broken: there is at least one
        more = 1
    return more, f"{more} more frame{'s' * (more > 1)} of the animation {_are(more)} not coloured" if more else None


def _more_of_mpo(image: ImageFile.ImageFile, data: bytes) -> int:
    """Return how many pictures of their own a camera's multi-picture file holds beside the first (CIPA DC-007, 5.2)."""
    index = image.info.get("mp")
    if index is None or b"hdrgm:Version" in data:  # the second is a map of how an HDR screen brightens the first
        return 0
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(index[:8])
        stream = io.BytesIO(index)
        stream.seek(directory.next)
        directory.load(stream)
        attributes = struct.Struct("<I12x" if index[:2] == b"II" else ">I12x")
        entries = directory[0xB002]
        kinds = [attribute & 0xFFFFFF for (attribute,) in attributes.iter_unpack(entries)]
    except Exception:  # a broken index: the first picture is all there is to see
        return 0
    return sum(kind not in _SMALLER_COPIES for kind in kinds[1:])


def _pictures(count: int) -> str:
    return f"{count} more picture{'s' * (count > 1)}"


def _are(count: int) -> str:
    return "are" if count > 1 else "is"


def _samples(image: Image.Image) -> Samples:
    """Return the samples of an image of any mode."""
    if image.mode in ("I", "F"):
        raise PhotoError("unreadable", "samples of 32 bits or floating point are not a photograph's; expected 8 or 16")
    if image.mode.startswith("I;16"):
        gray = np.asarray(image).astype(np.uint16)[..., None]
        hidden = image.info.get("transparency")
        alpha = np.where(gray[..., 0] == hidden, 0, 65535).astype(np.uint16) if isinstance(hidden, int) else None
        return Samples(gray, "GRAY", opaque_or(alpha))
    if image.mode == "LAB":
        lab = array_of(image).view(np.uint8)
        values = lab.astype(np.float32)
        values[..., 0] *= 100 / 255
        values[..., 1:] = lab[..., 1:].view(np.int8)
        return Samples(lab_to_srgb(values, np.uint8), "RGB")
    alpha = opaque_or(array_of(image.convert("RGBA"), "A")[..., 0]) if image.has_transparency_data else None
    if image.mode in ("1", "L", "LA", "La"):
        return Samples(array_of(image, "L"), "GRAY", alpha)
    if image.mode == "CMYK":
        return Samples(array_of(image), "CMYK")
    return Samples(array_of(image, "RGB"), "RGB", alpha)


def array_of(image: Image.Image, mode: str | None = None) -> NDArray[np.uint8]:
    """Return uint8 [H, W, C] of an image in a mode of 8 bits; "A" is its alpha channel.

    Strip by strip: all at once Pillow copies it twice, and other threads stand still.
    """
    width, height = image.size
    channels = {"L": 1, "A": 1, "CMYK": 4}.get(mode or image.mode, 3)
    pixels = np.empty((height, width, channels), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    strip = Image.new(image.mode, (width, rows))
    if image.palette is not None:
        strip.putpalette(image.palette)
    for top in range(0, height, rows):
        strip.paste(image, (0, -top))  # crop would judge the strip's size by Pillow's global limit
        part = strip.getchannel("A") if mode == "A" else strip.convert(mode) if mode else strip
        pixels[top : top + rows] = np.asarray(part).reshape(rows, width, channels)[: height - top]
    return pixels


def _opened_heif(data: bytes, max_pixels: int) -> Any:
    try:
        import pillow_heif
    except ImportError as error:
        raise PhotoError("unreadable", _NEEDS_FORMATS) from error
    file = pillow_heif.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=True)
    width, height = file.size
    check_pixels(width, height, max_pixels)
    return file


def _heif_picture(data: bytes, max_pixels: int) -> Picture:
    """Read the primary picture of a HEIC file; libheif turns it upright, whatever its EXIF data says."""
    file = _opened_heif(data, max_pixels)
    pixels = np.asarray(file)
    check_pixels(pixels.shape[1], pixels.shape[0], max_pixels)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    bits = int(file.info.get("bit_depth") or 8)
    if pixels.dtype == np.uint16 and 8 < bits < 16:  # shifted to the upper bits: white would not be white
        pixels, _ = to_unsigned(pixels >> (16 - bits), bits, None)
    alpha = opaque_or(pixels[..., -1]) if pixels.shape[2] in (2, 4) else None
    channels = 3 if pixels.shape[2] >= 3 else 1
    color = np.ascontiguousarray(pixels[..., :channels])
    exif = Image.Exif()
    if block := file.info.get("exif"):
        try:
            exif.load(block)
        except Exception:  # broken: the picture goes on without it
            exif = Image.Exif()
    icc, more = file.info.get("icc_profile") or None, len(file) - 1
    space, hdr = None, None
    nclx = file.info.get("nclx_profile")
    if icc is None and nclx:
        try:
            space, hdr = of_code_points(int(nclx["color_primaries"]), int(nclx["transfer_characteristics"]))
        except (KeyError, TypeError, ValueError):
            space = None
    if icc is None and not nclx and is_adobe_rgb(exif):
        space = adobe_rgb()
    note = f"{_pictures(more)} of the HEIC file {_are(more)} not coloured" if more else None
    return Picture(
        Samples(color, "RGB" if channels == 3 else "GRAY", alpha),
        exif=exif,
        icc=icc,
        space=space,
        pictures_left_out=more,
    ).noting(note, hdr)
