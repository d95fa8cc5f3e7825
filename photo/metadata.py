"""What a file says about its photograph, kept for the file that the result is written to."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin
from PIL.ExifTags import IFD
from PIL.ExifTags import Base as Tag

from photo import exif as exif_data
from photo.directories import Block, block_bytes, read_blocks
from photo.formats import PhotoFormat
from photo.provenance import Provenance
from photo.xmp import extension_digest, is_broken, joined_packet, marked_packet, true_packet

# Before what a JPEG holds of an XMP packet that is too large for one segment: then its digest, length and place.
XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"

_IPTC_RESOURCE = 0x0404  # of Photoshop's image resources
_RESOURCE_MARK = b"8BIM"
_TIFF_XMP, _TIFF_IPTC, _TIFF_PHOTOSHOP, _TIFF_COMPRESSION = 700, 33723, 34377, 259
_COMPRESSION_OF_NUMBER = {1: "none", 5: "lzw", 32773: "packbits"}
_PIXELS_OF_TIFF = frozenset({273, 279, 324, 325, 347, 37724})
_LARGEST_TEXT = 1 << 24
_UUIDS_OF_JPEG_2000 = {
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): "XMP",
    b"JpgTiffExif->JP2": "EXIF",
    bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"): "IPTC",
}
# How a manifest of C2PA is known in a file, which speaks of pixels that the result does not have.
_C2PA_OF_FORMAT = {PhotoFormat.JPEG: b"jumdc2pa", PhotoFormat.PNG: b"caBX", PhotoFormat.WEBP: b"C2PA"}
_C2PA_OF_TIFF = 0xCD41
_SIGNATURE_NOTE = "its Content Credentials, which speak of its own pixels"
_PNG_XMP = "XML:com.adobe.xmp"
_RAW_PROFILE = "Raw profile type "  # how ImageMagick keeps EXIF and IPTC in the text of a PNG


@dataclass(frozen=True)
class Metadata:
    """What a file says of its photograph besides the pixels, true of an upright sRGB picture.

    Attributes:
        exif: camera, date, place and author as an EXIF block, which begins as a TIFF does; says nothing of the
            orientation, and holds no thumbnail.
        icc: an ICC profile of sRGB, where the file carried a profile: the file's own when that is sRGB, else (the
            pixels were converted) one of littlecms. None where it carried none: sRGB by convention.
        dpi: horizontal and vertical pixels per inch.
        xmp: an XMP packet.
        iptc: datasets of IPTC's Information Interchange Model, as newspapers and museums use them.
        comment: of a JPEG or GIF, in whatever encoding.
        text: keywords and texts of a PNG.
        compression: of a TIFF, where it loses nothing: "none", "lzw", "deflate" or "packbits"; None for other files.
        notes: what the file holds and no result will, each in words.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    comment: bytes | None = None
    text: tuple[tuple[str, str], ...] = ()
    compression: str | None = None
    notes: tuple[str, ...] = ()

    def dpi_of_exif(self) -> tuple[float, float] | None:
        """Return the resolution that EXIF tells: of a WebP, which has no other place for it."""
        found = exif_data.resolution_of(exif_data.parsed(self.exif))
        return None if found is None else believable_resolution(*found)


def read_metadata(data: bytes, format: PhotoFormat, directory: int | None = None) -> Metadata:
    """Return what the bytes of a file say, but for profile and resolution, which belong to its pixels.

    Args:
        data: the whole file.
        format: of it.
        directory: of a TIFF, where the photograph's directory begins, in bytes; None takes the first.
    """
    try:
        if format is PhotoFormat.TIFF:
            return _metadata_of_tiff(data, directory)
        if format is PhotoFormat.JPEG2000:
            return _metadata_of_jpeg_2000(data)
        if format is PhotoFormat.HEIF:
            return metadata_of_image(_described_by_heif(data))
        Image.init()
        # The plugin is called directly: Image.open would judge the size by Pillow's global limit.
        found = metadata_of_image(Image.OPEN[format][0](io.BytesIO(data), ""), _png_texts(data))
        is_signed = _C2PA_OF_FORMAT.get(format, b"\0absent") in data
        return replace(found, notes=(*found.notes, _SIGNATURE_NOTE)) if is_signed else found
    except Exception:  # readers meet hostile bytes with any exception whatever, and the pixels may be sound
        return Metadata(notes=("its metadata, which cannot be read",))


def metadata_of_image(image: Image.Image, texts: Mapping[str, str] | None = None) -> Metadata:
    """Return what Pillow knows of a file besides the pixels, or of an image in memory.

    Args:
        image: as Pillow opened it; it need not be loaded.
        texts: of a PNG; None asks the image, which then is loaded.
    """
    if texts is None:
        texts = image.text if isinstance(image, PngImagePlugin.PngImageFile) else {}
    raw = {key.removeprefix(_RAW_PROFILE): value for key, value in texts.items() if key.startswith(_RAW_PROFILE)}
    exif = image.info.get("exif")
    if not isinstance(exif, bytes):
        exif = _raw_profile(raw.get("exif", raw.get("APP1", "")))
        if not exif and isinstance(image, TiffImagePlugin.TiffImageFile):
            exif = image.getexif().tobytes()
    xmp = image.info.get("xmp") or texts.get(_PNG_XMP)
    if isinstance(image, JpegImagePlugin.JpegImageFile) and isinstance(xmp, bytes):
        xmp = _with_extension(xmp, image)
    iptc = _iptc_of_image(image, raw)
    text = tuple((key, value) for key, value in texts.items() if not key.startswith((_RAW_PROFILE, _PNG_XMP)))
    return _checked(_exif_of(exif), xmp.encode() if isinstance(xmp, str) else xmp, iptc, _comment(image), text)


def _described_by_heif(data: bytes) -> Image.Image:
    """Return a picture of one pixel with what a HEIC file says; its own pixels stay undecoded."""
    import pillow_heif

    described = Image.new("L", (1, 1))
    described.info |= pillow_heif.open_heif(io.BytesIO(data)).info
    return described


def _metadata_of_jpeg_2000(data: bytes) -> Metadata:
    """Read the boxes of a JP2 in which XMP, EXIF and IPTC data stand by their UUIDs (ISO/IEC 15444-1, I.7.2)."""
    found: dict[str, bytes] = {}
    at = 0 if data[4:8] == b"jP  " else len(data)
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= len(data):
            (size,), head = struct.unpack_from(">Q", data, at + 8), 16
        end = len(data) if size == 0 else at + size
        if end < at + head:
            break
        name = _UUIDS_OF_JPEG_2000.get(data[at + head : at + head + 16]) if kind == b"uuid" else None
        if name is not None:
            found.setdefault(name, data[at + head + 16 : end])
        at = end
    return _checked(_exif_of(found.get("EXIF")), found.get("XMP"), found.get("IPTC"), None, ())


def _metadata_of_tiff(data: bytes, directory: int | None) -> Metadata:
    block = next(read_blocks(data, _PIXELS_OF_TIFF.__contains__, directory), Block())
    portable = exif_data.portable_block(block)
    xmp, iptc = (block.directory.values.get(tag) for tag in (_TIFF_XMP, _TIFF_IPTC))
    stored = iptc.data if iptc else b""
    if stored[:1] != b"\x1c" and stored[3:4] == b"\x1c":  # kept as LONGs, and turned with them
        stored = b"".join(stored[at : at + 4][::-1] for at in range(0, len(stored), 4))
    resources = block.directory.values.get(_TIFF_PHOTOSHOP)
    stored = stored or (iptc_resource(resources.data) if resources else None) or b""
    numbers = block.numbers(_TIFF_COMPRESSION)
    compression = _COMPRESSION_OF_NUMBER.get(numbers[0], "deflate") if numbers else "none"
    found = _checked(_block_bytes(portable), xmp.data if xmp else None, stored or None, None, ())
    notes = (*found.notes, _SIGNATURE_NOTE) if _C2PA_OF_TIFF in block.directory.values else found.notes
    return replace(found, compression=compression, notes=notes)


def _checked(
    exif: bytes | None, xmp: bytes | None, iptc: bytes | None, comment: bytes | None, text: tuple[tuple[str, str], ...]
) -> Metadata:
    notes: tuple[str, ...] = ()
    if xmp and is_broken(xmp):
        notes, xmp = (f"its XMP data ({len(xmp):,} bytes), which cannot be read",), None
    return Metadata(exif, xmp=xmp or None, iptc=iptc, comment=comment, text=text, notes=notes)


def result_metadata(metadata: Metadata, width: int, height: int, provenance: Provenance | None) -> Metadata:
    """Return what the file of a result says.

    Args:
        metadata: of the photograph.
        width: of the result, in pixels.
        height: of the result, in pixels.
        provenance: of its colours, which is added to EXIF and XMP; None adds nothing.
    """
    block = exif_data.with_size(exif_data.parsed(metadata.exif), width, height)
    if metadata.xmp and b"Orientation" in metadata.xmp:  # readers that look for it there believe EXIF first
        block = exif_data.with_orientation(block, 1)
    xmp = true_packet(metadata.xmp, width, height)
    if provenance is not None:
        former = exif_data.ascii_of(block, exif_data.SOFTWARE)
        xmp = marked_packet(xmp, provenance, "" if former == provenance.software else former)
        block = exif_data.with_text(block, exif_data.SOFTWARE, provenance.software)
    return replace(metadata, exif=_block_bytes(block), xmp=xmp)


def _block_bytes(block: Block) -> bytes | None:
    return block_bytes(block) if block.directory.values or block.directory.children else None


def _exif_of(carried: bytes | None) -> bytes | None:
    try:
        return exif_data.read_exif(carried) if carried else None
    except ValueError:  # broken EXIF: the photograph goes on without it
        return None


def _with_extension(packet: bytes, image: JpegImagePlugin.JpegImageFile) -> bytes:
    """Return the XMP packet of a JPEG with what further segments hold of it (XMP part 3, 1.1.3.1)."""
    digest = extension_digest(packet).encode()
    parts: dict[int, bytes] = {}
    for kind, content in image.applist:
        if digest and kind == "APP1" and content.startswith(XMP_EXTENSION + digest):
            (at,) = struct.unpack_from(">I", content, len(XMP_EXTENSION) + 36)
            parts[at] = content[len(XMP_EXTENSION) + 40 :]
    return (joined_packet(packet, b"".join(parts[at] for at in sorted(parts))) if parts else None) or packet


def _comment(image: Image.Image) -> bytes | None:
    """Return all comments of a file, a line each."""
    comments = [content for kind, content in getattr(image, "applist", []) if kind == "COM"]
    if not comments and image.info.get("comment"):
        comments = [image.info["comment"]]
    joined = b"\n".join(each.encode() if isinstance(each, str) else bytes(each) for each in comments)
    return joined.rstrip(b"\0") or None


def _png_texts(data: bytes) -> dict[str, str]:
    """Return the texts of a PNG by their keywords, also those behind the pixels, without decoding these."""
    texts: dict[str, str] = {}
    at = 8 if data.startswith(b"\x89PNG") else len(data)
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + size] if kind in _PNG_TEXT_READERS else b""
        at += 12 + size
        if content and at <= len(data):
            keyword, _, rest = content.partition(b"\0")
            with suppress(zlib.error, UnicodeDecodeError, ValueError, IndexError):
                texts[keyword.decode("latin-1")] = _PNG_TEXT_READERS[kind](rest)
    return texts


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(data, _LARGEST_TEXT)
    if inflater.unconsumed_tail:
        raise ValueError("a text that is too large")
    return inflated


def _international_text(rest: bytes) -> str:
    """Read what follows the keyword of an iTXt chunk: two flags, a language, the keyword in it, the text."""
    text = rest[2:].split(b"\0", 2)[2]
    return (_inflated(text) if rest[0] else text).decode("utf-8")


_PNG_TEXT_READERS: dict[bytes, Callable[[bytes], str]] = {
    b"tEXt": lambda rest: rest.decode("latin-1"),
    b"zTXt": lambda rest: _inflated(rest[1:]).decode("latin-1"),
    b"iTXt": _international_text,
}


def _iptc_of_image(image: Image.Image, raw: Mapping[str, str]) -> bytes | None:
    """Return IPTC's datasets, which stand among Photoshop's resources."""
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        parts = [content.partition(b"\0")[2] for kind, content in image.applist if kind == "APP13"]
        return iptc_resource(b"".join(parts))
    profile = _raw_profile(raw.get("iptc", raw.get("8bim", "")))
    return profile if profile[:1] == b"\x1c" else iptc_resource(profile)


def iptc_resource(resources: bytes) -> bytes | None:
    """Return IPTC's datasets out of Photoshop's image resources; None where there are none."""
    at = 0
    while resources[at : at + 4] == _RESOURCE_MARK and at + 12 <= len(resources):
        (number,) = struct.unpack_from(">H", resources, at + 4)
        at += 6 + (1 + resources[at + 6] + 1) // 2 * 2  # a name of Pascal's kind, of an even length
        if at + 4 > len(resources):
            return None
        (size,) = struct.unpack_from(">I", resources, at)
        if number == _IPTC_RESOURCE:
            return resources[at + 4 : at + 4 + size] or None
        at += 4 + size + size % 2
    return None


def as_iptc_resource(iptc: bytes) -> bytes:
    """Return IPTC's datasets as one of Photoshop's image resources."""
    padded = iptc + b"\0" * (len(iptc) % 2)
    return _RESOURCE_MARK + struct.pack(">HHI", _IPTC_RESOURCE, 0, len(iptc)) + padded


def _raw_profile(text: str) -> bytes:
    """Return the bytes of a profile in a PNG's text: its name, its length, and its bytes in hexadecimal."""
    parts = text.split()
    try:
        return bytes.fromhex("".join(parts[2:]))
    except ValueError:
        return b""


def orientation(exif: Image.Exif) -> int:
    """Return how pixels have to be turned by their EXIF data, as an orientation 1..8."""
    try:
        value = exif.get(Tag.Orientation, 1)
    except Exception:  # a broken EXIF block is no reason to refuse the picture
        return 1
    return value if value in range(1, 9) else 1


def resolution(info: dict[str | tuple[int, int], Any]) -> tuple[float, float] | None:
    """Return horizontal and vertical pixels per inch of an image's `info`, where it says so and can be believed.

    Of a JPEG whose header names no unit Pillow says what EXIF says, or where that says nothing 72: it is not believed.
    """
    if info.get("jfif_unit", 0) == 0 and info.get("dpi") == (72, 72):
        return None
    try:
        horizontal, vertical = (float(value) for value in info["dpi"])
    except Exception:
        return None
    return believable_resolution(horizontal, vertical)


def believable_resolution(horizontal: float, vertical: float) -> tuple[float, float] | None:
    """Return them as they are, in pixels per inch; None where no photograph has such a resolution."""
    return (horizontal, vertical) if 1 < horizontal < 1e5 and 1 < vertical < 1e5 else None


def is_adobe_rgb(exif: Image.Exif) -> bool:
    """Return whether EXIF data says Adobe RGB: by R03 and a colour space that is not sRGB (DCF 2.0), or by 2 for it."""
    try:
        if Tag.ExifOffset not in exif:  # asking for it would make it
            return False
        details = exif.get_ifd(Tag.ExifOffset)
        space = details.get(Tag.ColorSpace)
        index = exif.get_ifd(IFD.Interop).get(1, "") if IFD.Interop in details else ""
    except Exception:  # broken
        return False
    index = index.decode("ascii", "replace") if isinstance(index, bytes) else str(index)
    return space == 2 or (space != 1 and index.rstrip("\0 ") == "R03")
