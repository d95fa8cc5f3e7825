"""EXIF data: taken from any photograph's file, made true of the picture it will stand beside, and written."""

import struct
from dataclasses import replace

from photo.directories import (
    ASCII,
    BYTE,
    EXIF,
    INTEROPERABILITY,
    LONG,
    MAKER_NOTE,
    RATIONAL,
    SHORT,
    UNDEFINED,
    Block,
    Directory,
    Value,
    block_bytes,
    read_blocks,
)

SOFTWARE, IMAGE_DESCRIPTION = 305, 270
_ORIENTATION = 274
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _INCH = 282, 283, 296, 2
_PIXEL_WIDTH, _PIXEL_HEIGHT, _COLOR_SPACE = 0xA002, 0xA003, 0xA001
_INTEROPERABILITY_INDEX = 1
_SRGB = 1

# Of EXIF's own directory: the gamma and the compression of the file it came from, and Microsoft's filling.
_UNTRUE_OF_EXIF = frozenset({0xA500, 0x9102, 0xEA1C})

# What says how the pixels of its file are stored or coloured, or holds a second picture: of the result it would be
# untrue (TIFF 6.0; TIFF/EP; DNG 1.7; Photoshop's technical notes). Resolution, pages and descriptions stay.
_UNTRUE_TAGS = frozenset(
    {
        *range(254, 269), 273, 274, *range(277, 282), 284, *range(288, 296), 300, 301, *range(317, 348), 351,
        *range(400, 436),
        *range(512, 533), 559, 700, *range(32932, 33000), 33300, 33301, 33302, 33303, 33304, 33305, 33421, 33422,
        33723, 34377, 34675, 34908, 34909, 34910, 34911, 37724, 0xEA1C, *range(50706, 52600),
    }
)  # fmt: skip

# Descriptions in which programs keep how a stack of pictures is stored: tifffile, ImageJ, OME.
_STORAGE_DESCRIPTIONS = (b'{"shape"', b"ImageJ=", b"<?xml", b"<OME")


def is_untrue_of_result(tag: int) -> bool:
    """Return whether a tag of a first directory tells of its own file's pixels, and not of the photograph."""
    return tag in _UNTRUE_TAGS


def portable_block(block: Block) -> Block:
    """Return what remains true of an upright sRGB picture; thumbnails, which show the gray one, are not part of it."""
    directory = block.directory.without(is_untrue_of_result)
    if (said := directory.values.get(IMAGE_DESCRIPTION)) and said.data.startswith(_STORAGE_DESCRIPTIONS):
        directory = directory.without(IMAGE_DESCRIPTION.__eq__)
    children = dict(directory.children)
    if EXIF in children:
        exif = children[EXIF].without(_UNTRUE_OF_EXIF.__contains__)
        values, inner = dict(exif.values), dict(exif.children)
        if _COLOR_SPACE in values:
            values[_COLOR_SPACE] = block.packed(SHORT, _SRGB)
        if INTEROPERABILITY in inner:
            index = Value(ASCII, 4, b"R98\0")  # DCF basic: sRGB; R03 would be Adobe RGB (DCF 2.0, 3.3.1)
            inner[INTEROPERABILITY] = Directory({**inner[INTEROPERABILITY].values, _INTEROPERABILITY_INDEX: index})
        children[EXIF] = Directory(values, inner)
    return replace(block, directory=Directory(directory.values, children))


def read_exif(data: bytes) -> bytes | None:
    """Return what an EXIF block says of the photograph, made true of its result; None where it says nothing.

    Raises:
        ValueError: it cannot be read.
    """
    portable = portable_block(next(read_blocks(data, is_untrue_of_result), Block()))
    return block_bytes(portable) if portable.directory.values or portable.directory.children else None


def parsed(exif: bytes | None) -> Block:
    """Return an EXIF block as directories; an empty one where there is none or it is broken."""
    try:
        return next(read_blocks(exif), Block()) if exif else Block()
    except ValueError:
        return Block()


def ascii_of(block: Block, tag: int) -> str:
    """Return the text under a tag of the first directory; "" where there is none."""
    value = block.directory.values.get(tag)
    if value is None or value.kind not in (BYTE, ASCII, UNDEFINED):
        return ""
    return value.data.split(b"\0")[0].decode("utf-8", "replace").strip()


def with_text(block: Block, tag: int, text: str) -> Block:
    """Return the block with a text under a tag of its first directory."""
    data = text.replace("\0", " ").encode("utf-8", "replace") + b"\0"
    values = {**block.directory.values, tag: Value(ASCII, len(data), data)}
    return replace(block, directory=replace(block.directory, values=values))


def with_orientation(block: Block, orientation: int) -> Block:
    """Return the block with an orientation of 1..8."""
    values = {**block.directory.values, _ORIENTATION: block.packed(SHORT, orientation)}
    return replace(block, directory=replace(block.directory, values=values))


def with_resolution(block: Block, dpi: tuple[float, float]) -> Block:
    """Return the block with the resolution in pixels per inch."""
    data = [struct.pack(f"{block.order}II", round(each * 10_000), 10_000) for each in dpi]
    resolution = {_X_RESOLUTION: Value(RATIONAL, 1, data[0]), _Y_RESOLUTION: Value(RATIONAL, 1, data[1])}
    values = block.directory.values | resolution | {_RESOLUTION_UNIT: block.packed(SHORT, _INCH)}
    return replace(block, directory=replace(block.directory, values=values))


def with_size(block: Block, width: int, height: int) -> Block:
    """Return the block with the pixel sizes that it names made those of the picture."""
    exif = block.directory.children.get(EXIF)
    if exif is None:
        return block
    sizes = {_PIXEL_WIDTH: width, _PIXEL_HEIGHT: height}
    values = exif.values | {tag: block.packed(LONG, size) for tag, size in sizes.items() if tag in exif.values}
    children = {**block.directory.children, EXIF: replace(exif, values=values)}
    return replace(block, directory=replace(block.directory, children=children))


def without_maker_note(block: Block) -> Block:
    """Return the block without its camera maker's own data, as a rule the largest part of it."""
    children = {tag: child.without(MAKER_NOTE.__eq__) for tag, child in block.directory.children.items()}
    return replace(block, directory=replace(block.directory, children=children), maker_note_at=None)


def resolution_of(block: Block) -> tuple[float, float] | None:
    """Return horizontal and vertical pixels per inch; None where the block does not say."""
    values = [block.directory.values.get(tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION)]
    scale = {2: 1.0, 3: 2.54}.get(next(iter(block.numbers(_RESOLUTION_UNIT)), _INCH))
    if scale is None or any(value is None or (value.kind, value.count) != (RATIONAL, 1) for value in values):
        return None
    halves = [struct.unpack(f"{block.order}II", value.data) for value in values if value]
    if not all(whole and part for whole, part in halves):
        return None
    horizontal, vertical = (scale * whole / part for whole, part in halves)
    return horizontal, vertical
