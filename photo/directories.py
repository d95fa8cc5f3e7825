"""The directories of TIFF and EXIF: read from a file, changed, and written into another; every value keeps its type.

Pillow's own reading and writing loses types, cannot take what it read from a BigTIFF, and moves maker notes, whose
inner offsets then point nowhere.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

# What points to a directory of its own: EXIF, GPS, and in EXIF interoperability (EXIF 2.32, 4.6.3).
EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
_POINTERS_OF_LEVEL = (frozenset({EXIF, GPS}), frozenset({INTEROPERABILITY}), frozenset[int]())
_POINTERS = frozenset({EXIF, GPS, INTEROPERABILITY})
MAKER_NOTE = 0x927C

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
_EIGHT_BYTES = {16: LONG, 17: 9, 18: LONG}  # kinds of BigTIFF, and the kind of TIFF that holds small ones
_BYTES_OF_KIND = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_ELEMENT_BYTES = _BYTES_OF_KIND | {5: 4, 10: 4}  # of rationals each half is one

_MOST_ENTRIES = 4096
_MOST_DIRECTORIES = 1 << 16

# A maker note stays where it was in its file, so that the offsets in it stay true, unless that would leave a large gap.
_FARTHEST_MAKER_NOTE = 1 << 16


@dataclass(frozen=True)
class Value:
    """One value of a directory.

    Attributes:
        kind: TIFF's number of its type.
        count: of its elements.
        data: these, in the byte order of the block.
    """

    kind: int
    count: int
    data: bytes


@dataclass(frozen=True)
class Directory:
    """Values by their tags, and the directories that some tags point to."""

    values: dict[int, Value] = field(default_factory=dict)
    children: "dict[int, Directory]" = field(default_factory=dict)

    def without(self, is_dropped: Callable[[int], bool]) -> "Directory":
        """Return a copy without the tags of which `is_dropped` is true."""
        return Directory(
            {tag: value for tag, value in self.values.items() if not is_dropped(tag)},
            {tag: child for tag, child in self.children.items() if not is_dropped(tag)},
        )


@dataclass(frozen=True)
class Block:
    """A directory with what belongs to it.

    Attributes:
        order: "<" or ">", the byte order of its values.
        directory: the first.
        maker_note_at: where in its file the maker note began; None where there was none.
    """

    order: str = "<"
    directory: Directory = field(default_factory=Directory)
    maker_note_at: int | None = None

    def packed(self, kind: int, *numbers: int) -> Value:
        """Return numbers as a value of SHORTs or LONGs."""
        letter = {SHORT: "H", LONG: "I"}[kind]
        return Value(kind, len(numbers), struct.pack(f"{self.order}{len(numbers)}{letter}", *numbers))

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return the whole numbers under a tag of the first directory; () where there are none."""
        value = self.directory.values.get(tag)
        letter = {1: "B", SHORT: "H", LONG: "I"}.get(value.kind, "") if value else ""
        if value is None or not letter:
            return ()
        return struct.unpack(f"{self.order}{value.count}{letter}", value.data)

    def in_order(self, order: str) -> "Block":
        """Return the same in another byte order."""
        if order == self.order:
            return self

        def turned(directory: Directory) -> Directory:
            values = {tag: replace(value, data=_swapped(value)) for tag, value in directory.values.items()}
            return Directory(values, {tag: turned(child) for tag, child in directory.children.items()})

        return replace(self, order=order, directory=turned(self.directory))


@dataclass
class _File:
    """Bytes with offsets in them, how these are written, and how many bytes of values it may still have.

    Values do not overlap in an honest file, so together they are never longer than it.
    """

    data: bytes
    order: str
    is_big: bool
    bytes_left: int

    def unpack(self, format: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + format, self.data, at)


def read_blocks(
    data: bytes, is_dropped: Callable[[int], bool] = lambda tag: False, directory: int | None = None
) -> Iterator[Block]:
    """Yield the directories of a TIFF, BigTIFF or EXIF block, one after another; values that lie outside are left out.

    Args:
        data: the file; of an EXIF block the "Exif" before it may be there.
        is_dropped: tells tags of the first level whose values are not even read.
        directory: where in the file the first of them begins, in bytes; None takes the file's first.

    Raises:
        ValueError: it is no such file, or breaks off.
    """
    data = data.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise ValueError("neither II nor MM begins it")
    try:
        (version,) = struct.unpack_from(order + "H", data, 2)
        if version not in (42, 43):
            raise ValueError(f"of version {version}")
        file = _File(data, order, version == 43, len(data))
        (at,) = file.unpack("Q", 8) if file.is_big else file.unpack("I", 4)
        at = at if directory is None else directory
        seen: set[int] = set()
        while at and at not in seen and len(seen) < _MOST_DIRECTORIES:
            seen.add(at)
            found, places, at = _directory(file, at, 0, is_dropped)
            yield Block(order, found, places.get(MAKER_NOTE))
    except struct.error as error:
        raise ValueError("a directory lies beyond its end") from error


def _directory(
    file: _File, at: int, level: int, is_dropped: Callable[[int], bool]
) -> tuple[Directory, dict[int, int], int]:
    """Return a directory, where in the file its values and its children's begin, and where the next directory is."""
    width, head, entry_size = (8, "Q", 20) if file.is_big else (4, "H", 12)
    (count,) = file.unpack(head, at)
    if count > _MOST_ENTRIES:
        raise ValueError(f"a directory of {count} entries")
    start = at + struct.calcsize("=" + head)
    values: dict[int, Value] = {}
    children: dict[int, Directory] = {}
    places: dict[int, int] = {}
    for entry in range(start, start + count * entry_size, entry_size):
        tag, kind = file.unpack("HH", entry)
        (elements,) = file.unpack("Q" if file.is_big else "I", entry + 4)
        size = _BYTES_OF_KIND.get(kind, 0) * elements
        place = entry + 4 + width
        if size > width:
            (place,) = file.unpack("Q" if file.is_big else "I", place)
        if not 0 < size <= file.bytes_left or place + size > len(file.data) or is_dropped(tag):
            continue
        file.bytes_left -= size
        value = Value(kind, elements, file.data[place : place + size])
        if tag in _POINTERS:
            child_at = _pointer(file, value)
            if child_at is not None and tag in _POINTERS_OF_LEVEL[level]:
                with suppress(struct.error, ValueError):  # what it pointed to is lost already
                    children[tag], inner, _ = _directory(file, child_at, level + 1, lambda tag: False)
                    places.update(inner)
        elif (small := _without_eight_bytes(file, value)) is not None:
            values[tag], places[tag] = small, place
    (following,) = file.unpack("Q" if file.is_big else "I", start + count * entry_size)
    return Directory(values, children), places, following


def _pointer(file: _File, value: Value) -> int | None:
    letter = {LONG: "I", 13: "I", 16: "Q", 18: "Q"}.get(value.kind)
    if letter is None or value.count != 1:
        return None
    return int(struct.unpack(file.order + letter, value.data)[0])


def _without_eight_bytes(file: _File, value: Value) -> Value | None:
    """Return a value as TIFF holds it; None for numbers that only BigTIFF holds."""
    kind = _EIGHT_BYTES.get(value.kind)
    if kind is None:
        return value
    letters = ("q", "i") if kind == 9 else ("Q", "I")
    try:
        numbers = struct.unpack(f"{file.order}{value.count}{letters[0]}", value.data)
        return Value(kind, value.count, struct.pack(f"{file.order}{value.count}{letters[1]}", *numbers))
    except struct.error:
        return None


def _swapped(value: Value) -> bytes:
    size = _ELEMENT_BYTES.get(value.kind, 1)
    return b"".join(value.data[at : at + size][::-1] for at in range(0, len(value.data), size))


class BlockWriter:
    """Lays directories and pixels out behind each other in one file.

    Args:
        order: "<" or ">", the byte order of all that is added.
        maker_note: where the maker note of the first block is to stay, and its size.
    """

    def __init__(self, order: str, maker_note: tuple[int, int] | None = None):
        self.size = 8
        self._order = order
        self._hole = maker_note
        self._pieces: list[tuple[int, bytes | bytearray]] = []
        header = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
        self._link: tuple[bytearray, int] = (bytearray(header), 4)  # where the place of the next directory is written
        self._pieces.append((0, self._link[0]))

    def add(self, data: bytes) -> int:
        """Add bytes, and return where they begin."""
        if self._hole is not None and self.size < sum(self._hole) and self.size + len(data) > self._hole[0]:
            self.size = sum(self._hole) + sum(self._hole) % 2
        at = self.size
        self._pieces.append((at, data))
        self.size += len(data) + len(data) % 2
        return at

    def add_directory(self, directory: Directory, *, is_linked: bool) -> int:
        """Add a directory with all that belongs to it, and return where it begins.

        Args:
            directory: its values in the byte order of the writer.
            is_linked: it follows the one before; False for one that a value points to.
        """
        tags = sorted(directory.values.keys() | directory.children.keys())
        entries = bytearray(2 + 12 * len(tags) + 4)
        at = self._reserve(entries)
        if is_linked:
            link, place = self._link
            struct.pack_into(self._order + "I", link, place, at)
            self._link = (entries, len(entries) - 4)
        struct.pack_into(self._order + "H", entries, 0, len(tags))
        for index, tag in enumerate(tags):
            if tag in directory.children:
                place = self.add_directory(directory.children[tag], is_linked=False)
                value = Value(LONG, 1, struct.pack(self._order + "I", place))
            else:
                value = directory.values[tag]
            inline = value.data.ljust(4, b"\0") if len(value.data) <= 4 else self._elsewhere(tag, value.data)
            struct.pack_into(self._order + "HHI4s", entries, 2 + 12 * index, tag, value.kind, value.count, inline)
        return at

    def pieces(self) -> Iterator[bytes]:
        """Yield the file in pieces."""
        end = 0
        for at, data in sorted(self._pieces, key=lambda piece: piece[0]):
            if at > end:
                yield bytes(at - end)
            yield bytes(data)
            end = at + len(data)

    def _reserve(self, piece: bytearray) -> int:
        at = self.add(b"\0" * len(piece))
        self._pieces[-1] = (at, piece)
        return at

    def _elsewhere(self, tag: int, data: bytes) -> bytes:
        if tag == MAKER_NOTE and self._hole is not None and self._hole[1] == len(data):
            place, self._hole = self._hole[0], None
            self._pieces.append((place, data))
            self.size = max(self.size, place + len(data) + (place + len(data)) % 2)
        else:
            place = self.add(data)
        return struct.pack(self._order + "I", place)


def writer_for(block: Block) -> BlockWriter:
    """Return a writer for a file whose first directory is this block's, with its maker note where it was."""
    exif = block.directory.children.get(EXIF, Directory())
    note = exif.values.get(MAKER_NOTE)
    can_stay = note is not None and block.maker_note_at is not None and 8 <= block.maker_note_at < _FARTHEST_MAKER_NOTE
    return BlockWriter(block.order, (block.maker_note_at or 0, len(note.data)) if note and can_stay else None)


def block_bytes(block: Block) -> bytes:
    """Return a block as EXIF holds it, without the "Exif" that JPEG has before it."""
    writer = writer_for(block)
    writer.add_directory(block.directory, is_linked=True)
    return b"".join(writer.pieces())
