"""Tells of a photograph's file what it is, what it says, and whether a machine made its colours."""

import io
import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from photo import exif as exif_data
from photo.credentials import read_signature
from photo.decoding import Photo, decode_photo
from photo.directories import read_blocks
from photo.errors import TintypeError
from photo.formats import PhotoFormat
from photo.limits import MAX_PIXELS
from photo.metadata import Metadata
from photo.provenance import MACHINE_COLORED
from photo.tint import measure_tint
from photo.xmp import read_coloring

_ICC_OF_TIFF = 34675
_SOFTWARE = re.compile(r"Tintype (?P<version>[^,\s]+)(?:, model (?P<model>\S+))?")


@dataclass(frozen=True)
class Inspection:
    """What is known of a photograph's file.

    Attributes:
        format: of the file.
        width: in pixels, upright.
        height: in pixels, upright.
        bits: of a channel, 8 or 16, as they are read.
        profile: name of its ICC profile; "" where it has none.
        pages: of a TIFF; the first is looked at.
        other_pictures: that the file holds besides, such as the frames of an animation.
        metadata: the kinds that it carries, such as "EXIF" and "XMP".
        has_color: its pixels are neither gray nor toned.
        is_machine_colored: its metadata say that a machine made the colours.
        tintype_version: that coloured it; "" where it was not Tintype.
        model_fingerprint: of the model that found the colours; "" where it does not say.
        colored_at: when, ISO 8601; "" where it does not say.
        signature: of its Content Credentials: "trusted", "valid", "invalid", "none", or "unchecked" where the extra
            `credentials` is missing.
        signed_by: as the signer's certificate says.
    """

    format: str
    width: int
    height: int
    bits: int
    profile: str
    pages: int
    other_pictures: int
    metadata: tuple[str, ...]
    has_color: bool
    is_machine_colored: bool
    tintype_version: str
    model_fingerprint: str
    colored_at: str
    signature: str
    signed_by: str

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def inspect_photo(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Inspection:
    """Look at the bytes of a photograph's file.

    Raises:
        PhotoError: it is none, or broken.
    """
    photo = decode_photo(data, max_pixels=max_pixels)
    height, width = photo.rgb.shape[:2]
    metadata = photo.metadata
    software, colored_at, source_type = _coloring(metadata)
    found = _SOFTWARE.match(software)
    signature, signed_by = _signature(data, photo.format)
    return Inspection(
        format=str(photo.format),
        width=width,
        height=height,
        bits=16 if photo.rgb.dtype == np.uint16 else 8,
        profile=_profile_name(data, photo.format, photo.directory),
        pages=photo.pages,
        other_pictures=photo.pictures_left_out,
        metadata=_kinds(metadata),
        has_color=_has_color(photo),
        is_machine_colored=found is not None or source_type == MACHINE_COLORED,
        tintype_version=found["version"] if found else "",
        model_fingerprint=(found["model"] or "") if found else "",
        colored_at=colored_at,
        signature=signature,
        signed_by=signed_by,
    )


def _has_color(photo: Photo) -> bool:
    """Return whether what is to be seen of a photograph is neither gray nor toned."""
    visible = photo.color if photo.alpha is None else photo.color[photo.alpha > 0][:, None]
    return visible.size > 0 and measure_tint(visible) is None


def _coloring(metadata: Metadata) -> tuple[str, str, str]:
    """Return who coloured a photograph, when, and IPTC's word for its source; "" for what is not said."""
    coloring = read_coloring(metadata.xmp) if metadata.xmp else None
    if coloring is not None and coloring.software:
        return coloring.software, coloring.colored_at, coloring.source_type
    software = exif_data.ascii_of(exif_data.parsed(metadata.exif), exif_data.SOFTWARE)
    return software, "", coloring.source_type if coloring else ""


def _kinds(metadata: Metadata) -> tuple[str, ...]:
    values = {"EXIF": metadata.exif, "XMP": metadata.xmp, "IPTC": metadata.iptc, "comment": metadata.comment}
    return tuple(name for name, value in (*values.items(), ("text", metadata.text)) if value)


def _signature(data: bytes, format: PhotoFormat) -> tuple[str, str]:
    try:
        return read_signature(data, format) or ("none", "")
    except TintypeError:
        return "unchecked", ""


def _profile_name(data: bytes, format: PhotoFormat, directory: int | None) -> str:
    try:
        if format is PhotoFormat.TIFF:
            profile = next(read_blocks(data, directory=directory)).directory.values[_ICC_OF_TIFF].data
        else:
            Image.init()
            profile = Image.OPEN[format][0](io.BytesIO(data), "").info["icc_profile"]
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()
    except Exception:  # absent, broken
        return ""
