"""Photographs from bytes and back: any JPEG, PNG, WebP, TIFF or BMP becomes upright sRGB, or a clear error."""

import functools
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, ImageCms, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin
from PIL import WebPImagePlugin as WebpImagePlugin
from PIL.ExifTags import Base as Tag

from serving.client.errors import PhotoError, TintypeError
from serving.client.icc import read_profile

MAX_PIXELS = 200_000_000

FORMAT_OF_SUFFIX = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}

# Longest side a format's header can hold; libjpeg stops a little before its own.
_LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
_LONGEST_JPEG_EXIF = 65_533  # one segment

_STRIP_PIXELS = 2**20  # converted at a time

# Formats by their first bytes. The plugins are called directly, not through Image.open: that one would judge the size
# by Pillow's global limit, and might ask a decoder that has no business with photographs.
_READERS: list[tuple[bytes, str, type[ImageFile.ImageFile]]] = [
    (b"\xff\xd8\xff", "JPEG", JpegImagePlugin.JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", "PNG", PngImagePlugin.PngImageFile),
    (b"RIFF", "WEBP", WebpImagePlugin.WebPImageFile),
    (b"II*\0", "TIFF", TiffImagePlugin.TiffImageFile),
    (b"MM\0*", "TIFF", TiffImagePlugin.TiffImageFile),
    (b"II+\0", "TIFF", TiffImagePlugin.TiffImageFile),
    (b"MM\0+", "TIFF", TiffImagePlugin.TiffImageFile),
    (b"BM", "BMP", BmpImagePlugin.BmpImageFile),
]

# What EXIF may say of the file it came from and would be wrong, or harmful, in the file it is written to. All of it
# describes how a TIFF stores its pixels; the rest (camera, date, place, author) is kept.
_KEPT_EXIF = frozenset(
    {
        Tag.ImageDescription, Tag.Make, Tag.Model, Tag.Software, Tag.DateTime, Tag.Artist, Tag.HostComputer,
        Tag.Copyright, Tag.ExifOffset, Tag.GPSInfo, Tag.XPTitle, Tag.XPComment, Tag.XPAuthor, Tag.XPKeywords,
        Tag.XPSubject, Tag.DocumentName, Tag.PageName, Tag.Rating,
    }
)  # fmt: skip

Rgb = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Photo:
    """A decoded photograph.

    Attributes:
        rgb: [H, W, 3] sRGB, upright, alpha flattened on white. uint16 where the file held 16 bits, else uint8; also
            uint8 where 16 bits came with a colour profile of a kind that `icc` does not know, as littlecms converts
            8 bits only.
        format: "JPEG", "PNG", "WEBP", "TIFF" or "BMP".
        dpi: horizontal and vertical pixels per inch, where the file says so.
        exif: camera, date, place and author as an EXIF block, for `encode_photo`; says nothing of the orientation,
            because `rgb` is upright.
        icc: an ICC profile of sRGB for `encode_photo`, where the file carried a profile: the file's own when that is
            sRGB, else (the pixels were converted) one of littlecms. None where it carried none.
    """

    rgb: Rgb
    format: str
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    icc: bytes | None = None


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
    name, reader = _recognise(data)
    try:
        _check_pixels(*_claimed_size(data, name), max_pixels)
        image = reader(io.BytesIO(data))
        _check_pixels(*image.size, max_pixels)
        image.load()  # before anything else: reading the EXIF data of a PNG loads it too, and swallows what is wrong
        profile = _foreign_profile(image)
        rgb = _sixteen_bits(image, data, name, profile)
        if rgb is None:
            rgb = _eight_bits(image, profile)
        return Photo(
            _upright(rgb, _orientation(image)), name, _dpi(image), _portable_exif(image), _srgb_profile(image, profile)
        )
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError("too_many_pixels", f"the {name} file claims too much: {error}") from error
    except Exception as error:  # decoders meet hostile bytes with any exception whatever
        words = str(error) or type(error).__name__
        if "truncated" in words.lower() or _ends_early(data, name):
            raise PhotoError("truncated", f"the {name} file breaks off after {len(data)} bytes") from error
        raise PhotoError("unreadable", f"the {name} file cannot be decoded: {words}") from error


def photo_size(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[str, int, int]:
    """Return format, width and height as the header says them, before the picture is turned upright.

    Nothing is decoded, so this is cheap and safe for a file from anywhere.

    Raises:
        PhotoError: as `decode_photo`, for what the header shows.
    """
    if not data:
        raise PhotoError("empty", "the file is empty (0 bytes)")
    name, reader = _recognise(data)
    try:
        _check_pixels(*_claimed_size(data, name), max_pixels)
        width, height = reader(io.BytesIO(data)).size
        _check_pixels(width, height, max_pixels)
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError("too_many_pixels", f"the {name} file claims too much: {error}") from error
    except Exception as error:  # readers meet hostile bytes with any exception whatever
        reason = "truncated" if _ends_early(data, name) else "unreadable"
        words = "breaks off in its header" if reason == "truncated" else f"cannot be read: {error or type(error)}"
        raise PhotoError(reason, f"the {name} file {words}") from error
    return name, width, height


def recognise_format(data: bytes) -> str:
    """Return the format whose signature the first bytes bear; raises PhotoError (`not_an_image`) when there is none."""
    return _recognise(data)[0]


def photo_from_image(image: Image.Image) -> Photo:
    """Return the photograph in a Pillow image of any mode; EXIF orientation and colour profile as in `decode_photo`.

    The format is the image's own, or "PNG" where it was made in memory.

    Raises:
        PhotoError: with reason `unreadable` or `truncated`, when its pixels cannot be loaded or are of a kind no
            photograph has.
    """
    try:
        image.load()
        name = image.format if image.format in FORMAT_OF_SUFFIX.values() else "PNG"
        profile = _foreign_profile(image)
        rgb = _sixteen_bit_gray(image, profile) if image.mode.startswith("I;16") else None
        if rgb is None:
            rgb = _eight_bits(image, profile)
        return Photo(
            _upright(rgb, _orientation(image)),
            str(name),
            _dpi(image),
            _portable_exif(image),
            _srgb_profile(image, profile),
        )
    except PhotoError:
        raise
    except Exception as error:  # a lazily opened file is decoded here
        reason = "truncated" if "truncated" in str(error).lower() else "unreadable"
        raise PhotoError(reason, f"the image cannot be used: {error}") from error


def encode_photo(
    rgb: NDArray,
    format: str,
    *,
    quality: int = 92,
    exif: bytes | None = None,
    icc: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> bytes:
    """Encode a photograph.

    Args:
        rgb: uint8 or uint16 [H, W, 3]. PNG and TIFF keep 16 bits; the others get the nearest 8.
        format: "JPEG", "PNG", "WEBP", "TIFF" or "BMP".
        quality: 1..100, of JPEG and WebP.
        exif: an EXIF block, as in `Photo.exif`; BMP cannot hold one.
        icc: an ICC profile to embed; without one the file is sRGB by convention.
        dpi: horizontal and vertical pixels per inch.

    Raises:
        ValueError: for an unknown format, or an array that is not uint8 or uint16 [H, W, 3].
        TintypeError: when the photograph is larger than the format can hold.
    """
    if format not in FORMAT_OF_SUFFIX.values():
        raise ValueError(f"expected a format of {sorted(set(FORMAT_OF_SUFFIX.values()))}, received {format!r}")
    if rgb.dtype not in (np.uint8, np.uint16) or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(f"expected uint8 or uint16 [H, W, 3], received {rgb.dtype} {rgb.shape}")
    height, width = rgb.shape[:2]
    if max(height, width) > (longest := _LONGEST_SIDE.get(format, 2**31 - 1)):
        raise TintypeError(f"{format} holds at most {longest} pixels a side, not {width} x {height}; take PNG or TIFF")
    if rgb.dtype == np.uint16 and format == "PNG":
        return _sixteen_bit_png(rgb, exif, icc, dpi)
    if format == "TIFF":
        return _tiff(rgb, exif, icc, dpi)
    if rgb.dtype == np.uint16:
        rgb = ((rgb.astype(np.uint32) + 128) // 257).astype(np.uint8)
    options: dict[str, object] = {"dpi": dpi, "icc_profile": icc}
    if exif is not None and not (format == "JPEG" and len(exif) > _LONGEST_JPEG_EXIF):
        options["exif"] = exif
    if format == "JPEG":
        options |= {"quality": quality, "subsampling": "4:4:4"}  # colour at full size is what was asked for
    elif format == "WEBP":
        options |= {"quality": quality}
    encoded = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(
        encoded, format, **{name: value for name, value in options.items() if value is not None}
    )
    return encoded.getvalue()


def _sixteen_bit_png(
    rgb: NDArray[np.uint16], exif: bytes | None, icc: bytes | None, dpi: tuple[float, float] | None
) -> bytes:
    """Encode 16 bits a channel, which Pillow cannot; OpenCV can, but knows no metadata: the chunks are put in here."""
    encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
    chunks = b""
    if icc:
        chunks += _png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
    if dpi:
        chunks += _png_chunk(b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in dpi), 1))
    if exif:
        chunks += _png_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    after_header = 8 + 25  # signature and IHDR, W3C PNG 5.6: everything inserted must stand before the pixels
    return encoded[:after_header] + chunks + encoded[after_header:]


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _tiff(rgb: NDArray, exif: bytes | None, icc: bytes | None, dpi: tuple[float, float] | None) -> bytes:
    """Encode one uncompressed strip behind a directory of Pillow's making.

    Pillow's own writer knows no 16 bits a channel, and its compressing one stumbles over EXIF data.
    """
    height, width = rgb.shape[:2]
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    if exif:
        described = Image.Exif()
        described.load(exif)
        for tag, value in described.items():
            directory[tag] = described.get_ifd(tag) if tag in (Tag.ExifOffset, Tag.GPSInfo) else value
    directory[Tag.ImageWidth], directory[Tag.ImageLength] = width, height
    directory[Tag.BitsPerSample], directory[Tag.SamplesPerPixel] = (8 * rgb.itemsize,) * 3, 3
    directory[Tag.Compression], directory[Tag.PhotometricInterpretation] = 1, 2
    directory[Tag.RowsPerStrip], directory[Tag.StripByteCounts] = height, rgb.nbytes
    directory[Tag.StripOffsets] = 0
    if dpi:
        directory[Tag.XResolution], directory[Tag.YResolution] = dpi
        directory[Tag.ResolutionUnit] = 2
    if icc:
        directory.tagtype[Tag.InterColorProfile] = 7
        directory[Tag.InterColorProfile] = icc
    header = b"II*\0\x08\0\0\0"
    # Pillow counts StripOffsets from the directory's end; what comes before is the header and the directory itself.
    return header + directory.tobytes(len(header)) + rgb.astype(rgb.dtype.newbyteorder("<")).tobytes()


def _recognise(data: bytes) -> tuple[str, type[ImageFile.ImageFile]]:
    for magic, name, reader in _READERS:
        if data.startswith(magic) and (name != "WEBP" or data[8:12] == b"WEBP"):
            return name, reader
    start = data[:12].decode("ascii", "backslashreplace")
    raise PhotoError("not_an_image", f"not a JPEG, PNG, WebP, TIFF or BMP file: it begins with {start!r}")


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise PhotoError(
            "too_many_pixels", f"{width} x {height} is {width * height:,} pixels; at most {max_pixels:,} are accepted"
        )


def _claimed_size(data: bytes, name: str) -> tuple[int, int]:
    """Return width and height of an extended WebP, whose reader allocates them at once; (0, 0) for the others."""
    if name == "WEBP" and data[12:16] == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    return 0, 0


def _ends_early(data: bytes, name: str) -> bool:
    """Return whether a file that could not be decoded lacks its end."""
    match name:
        case "JPEG":
            return b"\xff\xd9" not in data[-1024:]
        case "PNG":
            return b"IEND" not in data[-1024:]
        case "WEBP":
            return len(data) < 8 + int.from_bytes(data[4:8], "little")
        case "BMP":
            return len(data) < int.from_bytes(data[2:6], "little")
    return _tiff_ends_early(data)


def _tiff_ends_early(data: bytes) -> bool:
    """Return whether the first directory of a TIFF, a value it points to, or a strip or tile lies beyond the end."""
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] not in (b"*\0", b"\0*"):
        return False  # BigTIFF: seldom enough to be called unreadable
    try:
        (directory,) = struct.unpack_from(order + "I", data, 4)
        (entries,) = struct.unpack_from(order + "H", data, directory)
        extents: dict[int, tuple[int, ...]] = {}
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(order + "HHI", data, entry)
            size = {3: 2, 4: 4, 5: 8, 10: 8, 12: 8}.get(kind, 1) * count
            start = entry + 8 if size <= 4 else struct.unpack_from(order + "I", data, entry + 8)[0]
            if start + size > len(data):
                return True
            if tag in (273, 279, 324, 325) and kind in (3, 4):  # offsets and byte counts of strips and of tiles
                extents[tag] = struct.unpack_from(f"{order}{count}{'H' if kind == 3 else 'I'}", data, start)
    except struct.error:
        return True
    return any(
        offset + length > len(data)
        for offsets, lengths in ((273, 279), (324, 325))
        for offset, length in zip(extents.get(offsets, ()), extents.get(lengths, ()), strict=False)
    )


def _orientation(image: Image.Image) -> int:
    """Return how the pixels of a loaded image still have to be turned, as an EXIF orientation 1..8."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return 1  # Pillow and OpenCV turn a TIFF when they load it
    try:
        value = image.getexif().get(Tag.Orientation, 1)
    except Exception:  # a broken EXIF block is no reason to refuse the picture
        return 1
    return value if value in range(1, 9) else 1


def _upright(pixels: NDArray, orientation: int) -> NDArray:
    """Undo an EXIF orientation 1..8 (EXIF 2.32, tag 0x0112) of [H, W, ...]."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        horizontal, vertical = (float(value) for value in image.info["dpi"])
    except Exception:
        return None
    return (horizontal, vertical) if 1 < horizontal < 1e5 and 1 < vertical < 1e5 else None


def _portable_exif(image: Image.Image) -> bytes | None:
    try:
        exif = image.getexif()
        for tag in set(exif) - _KEPT_EXIF:
            del exif[tag]
        return exif.tobytes() if len(exif) else None
    except Exception:  # broken EXIF: the photograph goes on without it
        return None


def _foreign_profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """Return the ICC profile when it is readable and not sRGB itself."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        return None if "sRGB" in ImageCms.getProfileDescription(profile) else profile
    except Exception:  # absent or broken: take the pixels as sRGB
        return None


def _srgb_profile(image: Image.Image, foreign: ImageCms.ImageCmsProfile | None) -> bytes | None:
    """Return the profile that tells of the converted pixels what the file's own told of its pixels."""
    if foreign is not None:
        return _made_srgb_profile()
    embedded = image.info.get("icc_profile")
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(embedded)) if embedded else None
    except Exception:  # broken
        return None
    if own is None or own.profile.xcolor_space.strip() != "RGB":
        return None
    return embedded


@functools.cache
def _made_srgb_profile() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # its date (ICC.1:2022, 7.2.8), else today's
    return bytes(profile)


def _sixteen_bits(
    image: ImageFile.ImageFile, data: bytes, name: str, profile: ImageCms.ImageCmsProfile | None
) -> NDArray | None:
    """Return uint16 [H, W, 3] sRGB; None when the file does not hold 16 bits, or its profile takes 8 alone."""
    if image.mode.startswith("I;16"):
        return _sixteen_bit_gray(image, profile)
    deep_png = name == "PNG" and data[24] == 16
    deep_tiff = name == "TIFF" and image.mode in ("RGB", "RGBA") and 16 in _bits_per_sample(image)
    if not (deep_png or deep_tiff):
        return None
    to_srgb = _sixteen_bit_conversion(image, profile)
    if to_srgb is None:
        return None
    # Pillow has judged the file; but of 16-bit colour it keeps 8 bits, OpenCV all.
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    if pixels.ndim == 2:
        return to_srgb(_repeat_gray(pixels))
    rgb = to_srgb(np.ascontiguousarray(pixels[..., 2::-1]))
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:].astype(np.float32) / 65535
        rgb = (rgb * alpha + 65535 * (1 - alpha) + 0.5).astype(np.uint16)
    return rgb


def _sixteen_bit_gray(image: Image.Image, profile: ImageCms.ImageCmsProfile | None) -> NDArray | None:
    """Return uint16 [H, W, 3] sRGB, or None when the profile takes 8 bits alone."""
    to_srgb = _sixteen_bit_conversion(image, profile)
    return None if to_srgb is None else to_srgb(_repeat_gray(_sixteen_bit_shades(image)))


def _sixteen_bit_conversion(
    image: Image.Image, profile: ImageCms.ImageCmsProfile | None
) -> Callable[[NDArray[np.uint16]], NDArray[np.uint16]] | None:
    """Return what takes uint16 [H, W, 3] to sRGB, or None when littlecms has to, with 8 bits."""
    if profile is None:
        return lambda rgb: rgb
    read = read_profile(image.info["icc_profile"])
    if read is None:
        return None
    if read.space == "GRAY" and image.mode in ("RGB", "RGBA"):
        return lambda rgb: rgb  # a profile of another kind than its picture is ignored
    return read.to_srgb


def _sixteen_bit_shades(image: Image.Image) -> NDArray[np.uint16]:
    """Return uint16 [H, W] of an image of Pillow's 16-bit modes."""
    gray: NDArray = np.asarray(image).astype(np.uint16)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if _bits_per_sample(image) == (12,):
            gray = gray << 4 | gray >> 8
        if image.tag_v2.get(Tag.PhotometricInterpretation) == 0:  # white is zero; Pillow leaves 16 bits as they are
            gray = ~gray
    return gray


def _bits_per_sample(image: ImageFile.ImageFile) -> tuple[int, ...]:
    return image.tag_v2.get(Tag.BitsPerSample, ())  # type: ignore[attr-defined]


def _repeat_gray(gray: NDArray) -> NDArray:
    return np.repeat(gray[..., None], 3, axis=-1)


def _eight_bits(image: Image.Image, profile: ImageCms.ImageCmsProfile | None) -> NDArray[np.uint8]:
    """Return uint8 [H, W, 3] sRGB of any mode of Pillow, flattened on white."""
    if image.mode in ("I", "F"):
        raise PhotoError("unreadable", "samples of 32 bits or floating point are not a photograph's; expected 8 or 16")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((_sixteen_bit_shades(image) >> 8).astype(np.uint8))
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
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
