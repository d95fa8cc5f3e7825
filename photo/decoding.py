"""Photographs from bytes: any JPEG, PNG, WebP, TIFF or BMP becomes upright sRGB, or a clear error."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from photo.errors import PhotoError
from photo.formats import PhotoFormat, claimed_size, ends_early, reader_of
from photo.limits import MAX_PIXELS
from photo.metadata import Metadata, foreign_profile, orientation, read_metadata
from photo.sixteen_bit import read_sixteen_bits, sixteen_bit_gray, sixteen_bits_to_srgb, to_eight_bits

_STRIP_PIXELS = 2**20  # converted at a time

Rgb = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Photo:
    """A decoded photograph.

    Attributes:
        rgb: [H, W, 3] sRGB, upright, alpha flattened on white. uint16 where the file held 16 bits, else uint8; also
            uint8 where 16 bits came with a colour profile of a kind that `photo.icc_profile` does not know, as
            littlecms converts 8 bits only.
        format: of the file.
        metadata: what else the file says, for `encode_photo`.
    """

    rgb: Rgb
    format: PhotoFormat
    metadata: Metadata


def decode_photo(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photograph; of an animation or a file of several pages, the first image.

    Args:
        data: the bytes of a JPEG, PNG, WebP, TIFF or BMP file.
        max_pixels: largest height times width; judged from the header, before anything is decoded.

    Raises:
        PhotoError: with reason `empty`, `not_an_image`, `truncated`, `unreadable` or `too_many_pixels`.
    """
    if not data:
        raise PhotoError("empty", "the file is empty (0 bytes)")
    name, reader = reader_of(data)
    try:
        _check_pixels(*claimed_size(data, name), max_pixels)
        image = reader(io.BytesIO(data))
        _check_pixels(*image.size, max_pixels)
        image.load()  # before anything else: reading the EXIF data of a PNG loads it too, and swallows what is wrong
        return _photo(image, read_sixteen_bits(image, data, name), name)
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError("too_many_pixels", f"the {name} file claims too much: {error}") from error
    except Exception as error:  # decoders meet hostile bytes with any exception whatever
        words = str(error) or type(error).__name__
        if "truncated" in words.lower() or ends_early(data, name):
            raise PhotoError("truncated", f"the {name} file breaks off after {len(data)} bytes") from error
        raise PhotoError("unreadable", f"the {name} file cannot be decoded: {words}") from error


def photo_size(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[PhotoFormat, int, int]:
    """Return format, width and height as the header says them, before the picture is turned upright.

    Nothing is decoded, so this is cheap and safe for a file from anywhere.

    Raises:
        PhotoError: as `decode_photo`, for what the header shows.
    """
    if not data:
        raise PhotoError("empty", "the file is empty (0 bytes)")
    name, reader = reader_of(data)
    try:
        _check_pixels(*claimed_size(data, name), max_pixels)
        width, height = reader(io.BytesIO(data)).size
        _check_pixels(width, height, max_pixels)
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError("too_many_pixels", f"the {name} file claims too much: {error}") from error
    except Exception as error:  # readers meet hostile bytes with any exception whatever
        reason = "truncated" if ends_early(data, name) else "unreadable"
        words = "breaks off in its header" if reason == "truncated" else f"cannot be read: {error or type(error)}"
        raise PhotoError(reason, f"the {name} file {words}") from error
    return name, width, height


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
        return _photo(image, sixteen_bit_gray(image) if image.mode.startswith("I;16") else None, name)
    except PhotoError:
        raise
    except Exception as error:  # a lazily opened file is decoded here
        reason = "truncated" if "truncated" in str(error).lower() else "unreadable"
        raise PhotoError(reason, f"the image cannot be used: {error}") from error


def _photo(image: Image.Image, deep: NDArray[np.uint16] | None, format: PhotoFormat) -> Photo:
    """Return the photograph of a loaded image, and of its 16-bit samples, where it has them."""
    profile = foreign_profile(image)
    rgb: Rgb | None = None if deep is None else sixteen_bits_to_srgb(deep, image, profile)
    if rgb is None:
        rgb = _eight_bits(image, deep, profile)
    return Photo(
        _upright(rgb, orientation(image)),
        format,
        read_metadata(image, profile),
    )


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise PhotoError(
            "too_many_pixels", f"{width} x {height} is {width * height:,} pixels; at most {max_pixels:,} are accepted"
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


def _eight_bits(
    image: Image.Image, deep: NDArray[np.uint16] | None, profile: ImageCms.ImageCmsProfile | None
) -> NDArray[np.uint8]:
    """Return uint8 [H, W, 3] sRGB of any mode of Pillow, flattened on white; of 16-bit samples the nearest 8 bits."""
    if image.mode in ("I", "F"):
        raise PhotoError("unreadable", "samples of 32 bits or floating point are not a photograph's; expected 8 or 16")
    alpha = None
    if image.has_transparency_data and not image.mode.startswith("I;16"):
        alpha = image.convert("RGBA").getchannel("A")
    if deep is not None:  # of colour Pillow has kept the upper 8 bits, which is not the nearest value
        if deep.ndim == 3 and deep.shape[2] == 4:
            alpha = Image.fromarray(to_eight_bits(deep[..., 3]))
        color = deep if deep.ndim == 2 else deep[..., 0] if image.mode == "LA" else deep[..., :3]
        image = Image.fromarray(to_eight_bits(color))
    if image.mode in ("1", "LA", "La"):
        image = image.convert("L")
    elif image.mode not in ("L", "RGB", "CMYK", "LAB"):
        image = image.convert("RGB")
    rgb = _through_profile(image, profile)
    if alpha is not None:
        rgb = Image.composite(rgb.convert("RGB"), Image.new("RGB", rgb.size, "white"), alpha)
    return _array_of(rgb)


def _array_of(image: Image.Image) -> NDArray[np.uint8]:
    """Return uint8 [H, W, 3], strip by strip: all at once Pillow copies it twice, and other threads stand still."""
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    strip = Image.new(image.mode, (width, rows))
    for top in range(0, height, rows):
        strip.paste(image, (0, -top))  # crop would judge the strip's size by Pillow's global limit
        pixels[top : top + rows] = np.asarray(strip.convert("RGB"))[: height - top]
    return pixels


def _through_profile(image: Image.Image, profile: ImageCms.ImageCmsProfile | None) -> Image.Image:
    if image.mode == "LAB":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    if profile is not None:
        spaces = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}
        try:
            space = spaces[profile.profile.xcolor_space.strip()]
            if space != image.mode and (image.mode, space) == ("L", "RGB"):
                image = image.convert("RGB")  # a gray photograph with its camera's colour profile
            if space == image.mode:
                converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
                if converted is not None:
                    return converted
        except (KeyError, ImageCms.PyCMSError):
            pass  # a profile of another kind than its picture, or one that breaks when used, is ignored
    return image
