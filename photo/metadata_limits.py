"""What each kind of file cannot hold of a photograph's metadata; whatever is left out is said in words."""

from dataclasses import replace

from photo import exif as exif_data
from photo.directories import block_bytes
from photo.formats import PhotoFormat
from photo.metadata import Metadata

# A segment of a JPEG holds so many bytes; EXIF and IPTC stand behind their names in it.
_SEGMENT = 65_533
_LARGEST_EXIF = _SEGMENT - len(b"Exif\0\0")
_LARGEST_IPTC = _SEGMENT - len(b"Photoshop 3.0\0") - 13

# What may still be added to say who coloured the photograph.
_ROOM_FOR_MARKS = 4096


def fitting(metadata: Metadata, format: PhotoFormat, *, is_marked: bool = False) -> tuple[Metadata, tuple[str, ...]]:
    """Return what a file can hold of the metadata, and in words what it cannot.

    Args:
        metadata: of a photograph.
        format: of the file.
        is_marked: it is complete; False leaves room for the marks of `result_metadata`.
    """
    if format is PhotoFormat.BMP:
        kinds = {"EXIF": metadata.exif, "XMP": metadata.xmp, "IPTC": metadata.iptc, "comment": metadata.comment}
        lost = [name for name, value in (*kinds.items(), ("text", metadata.text)) if value]
        note = (f"its metadata ({', '.join(lost)}): BMP holds none",) if lost else ()
        return Metadata(dpi=metadata.dpi), note
    if format is PhotoFormat.PNG:
        return _with_comment_as_text(metadata), ()
    metadata, notes = _with_description(metadata) if format is not PhotoFormat.JPEG else _fitting_comment(metadata)
    if format is PhotoFormat.JPEG:
        metadata, more = _fitting_segments(metadata, 0 if is_marked else _ROOM_FOR_MARKS)
        notes += more
    if format is PhotoFormat.WEBP and metadata.iptc:
        notes += ("its IPTC data: WebP has no place for them",)
        metadata = replace(metadata, iptc=None)
    if format is PhotoFormat.WEBP and metadata.dpi:
        block = exif_data.with_resolution(exif_data.parsed(metadata.exif), metadata.dpi)
        metadata = replace(metadata, exif=block_bytes(block))
    return metadata, notes


def _fitting_segments(metadata: Metadata, room: int) -> tuple[Metadata, tuple[str, ...]]:
    """Bring EXIF and IPTC into the size of JPEG's segments."""
    notes: tuple[str, ...] = ()
    exif = metadata.exif
    if exif is not None and len(exif) > _LARGEST_EXIF - room:
        smaller = block_bytes(exif_data.without_maker_note(exif_data.parsed(exif)))
        if len(smaller) <= _LARGEST_EXIF - room:
            lost = len(exif) - len(smaller)
            notes += (f"the MakerNote of its EXIF data ({lost:,} bytes): JPEG holds 64 kB of EXIF",)
            metadata = replace(metadata, exif=smaller)
        else:
            notes += (f"its EXIF data ({len(exif):,} bytes): JPEG holds 64 kB",)
            metadata = replace(metadata, exif=None)
    if metadata.iptc and len(metadata.iptc) > _LARGEST_IPTC:
        notes += (f"its IPTC data ({len(metadata.iptc):,} bytes): JPEG holds 64 kB",)
        metadata = replace(metadata, iptc=None)
    return metadata, notes


def _fitting_comment(metadata: Metadata) -> tuple[Metadata, tuple[str, ...]]:
    """Make a PNG's texts a JPEG's comment, a line each."""
    lines = [metadata.comment] if metadata.comment else []
    lines += [f"{key}: {value}".encode() for key, value in metadata.text]
    comment = b"\n".join(lines)
    if len(comment) > _SEGMENT:
        return replace(metadata, comment=None, text=()), (f"its comment ({len(comment):,} bytes): JPEG holds 64 kB",)
    return replace(metadata, comment=comment or None, text=()), ()


def _with_comment_as_text(metadata: Metadata) -> Metadata:
    if metadata.comment is None:
        return metadata
    return replace(metadata, comment=None, text=(*metadata.text, ("Comment", comment_text(metadata.comment))))


def _with_description(metadata: Metadata) -> tuple[Metadata, tuple[str, ...]]:
    """Make a comment or a PNG's texts the EXIF description, where there is none yet."""
    lines = [comment_text(metadata.comment)] if metadata.comment else []
    lines += [f"{key}: {value}" for key, value in metadata.text]
    if not lines:
        return metadata, ()
    bare, block = replace(metadata, comment=None, text=()), exif_data.parsed(metadata.exif)
    if exif_data.ascii_of(block, exif_data.IMAGE_DESCRIPTION):
        return bare, ("its comment: the place for it is taken by its EXIF description",)
    described = exif_data.with_text(block, exif_data.IMAGE_DESCRIPTION, "\n".join(lines))
    return replace(bare, exif=block_bytes(described)), ()


def comment_text(comment: bytes) -> str:
    """Return a comment as text; what is not UTF-8 is taken as Latin-1."""
    try:
        return comment.decode("utf-8")
    except UnicodeDecodeError:
        return comment.decode("latin-1")
