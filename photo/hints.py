"""`Hint`: a colour that a person asks for at a place of a photograph, and how hints are written down."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path, PurePath
from typing import Any

from photo.errors import TintypeError
from photo.limits import MAX_PAGES

MAX_HINTS = 256
"""Of one photograph: more than anybody sets by hand."""

LARGEST_RADIUS = 0.25

SIDECAR_SUFFIX = ".hints.json"
"""The hints of `scan.tif` may lie beside it, in `scan.tif.hints.json`."""

MAX_FILE_BYTES = 4 << 20

_COLOR = re.compile(r"#[0-9a-fA-F]{6}", re.ASCII)
_FIELDS = ("x", "y", "color", "radius", "page")


@dataclass(frozen=True)
class Hint:
    """The colour that a person asks for at a place of a photograph.

        Hint(0.42, 0.31, "#4a6b3c")
        Hint(0.42, 0.31, (74, 107, 60), radius=0.02)

    Attributes:
        x: 0 is the left edge, 1 the right one, of the photograph as it is looked at: turned upright by its EXIF
            orientation.
        y: 0 is the upper edge, 1 the lower one.
        color: sRGB as "#rrggbb", or as three integers of 0..255. Its hue and chroma count; the lightness is the
            photograph's own.
        radius: of the disc that has this colour, as a share of the photograph's longer side; 0 is one cell of what
            the network sees.
        page: of a TIFF of several pages the one that it is for, from 1; None is the first that is coloured.

    Raises:
        ValueError: for a value that can never work; it names the field and the value.
    """

    x: float
    y: float
    color: str | tuple[int, int, int]
    radius: float = 0.0
    page: int | None = None

    def __post_init__(self) -> None:
        for name in ("x", "y"):
            _check_number(name, getattr(self, name), 1.0, "0..1, a share of the photograph")
        _check_number("radius", self.radius, LARGEST_RADIUS, f"0..{LARGEST_RADIUS} of the photograph's longer side")
        for name, value in (("x", float(self.x)), ("y", float(self.y)), ("radius", float(self.radius))):
            object.__setattr__(self, name, value)  # of NumPy's numbers, too
        object.__setattr__(self, "color", _hexadecimal(self.color))
        object.__setattr__(self, "page", _checked_page(self.page))

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green and blue, 0..255."""
        red, green, blue = bytes.fromhex(str(self.color)[1:])
        return red, green, blue

    def document(self) -> dict[str, Any]:
        """Return what `hint_from_document` reads."""
        document = {"x": self.x, "y": self.y, "color": self.color, "radius": self.radius}
        return document if self.page is None else {**document, "page": self.page}


def check_hints(hints: Sequence[Hint]) -> tuple[Hint, ...]:
    """Return the hints of one photograph as a tuple; raises TypeError or ValueError for what are no such."""
    if isinstance(hints, Hint | str) or not all(isinstance(hint, Hint) for hint in hints):
        raise TypeError(f"expected a list of Hint, received {hints!r:.80}")
    if len(hints) > MAX_HINTS:
        raise ValueError(f"expected at most {MAX_HINTS} hints for a photograph, received {len(hints)}")
    return tuple(hints)


def parse_hint(text: str) -> Hint:
    """Read a hint as the command line has it: X,Y=#rrggbb, or X,Y,RADIUS=#rrggbb; PAGE: may stand before it.

    Raises:
        ValueError: it is none; names the field and the value.
    """
    place, equals, color = text.partition("=")
    page, colon, numbers = place.rpartition(":")
    fields = dict(zip(("x", "y", "radius"), numbers.split(","), strict=False))
    if not equals or numbers.count(",") not in (1, 2):
        raise ValueError(f"expected a hint as X,Y=#rrggbb, X,Y,RADIUS=#rrggbb or PAGE:X,Y=#rrggbb, received {text!r}")
    values: dict[str, Any] = {}
    for name, number in [*fields.items(), *([("page", page)] if colon else [])]:
        try:
            values[name] = int(number) if name == "page" else float(number)
        except ValueError:
            kind = "whole number" if name == "page" else "number"
            raise ValueError(f"{name}: expected a {kind}, received {number!r}, in the hint {text!r}") from None
    try:
        return Hint(color=color.strip(), **values)
    except ValueError as error:
        raise ValueError(f"{error}, in the hint {text!r}") from None


def hint_from_document(document: object) -> Hint:
    """Read a hint as JSON has it: {"x": 0.42, "y": 0.31, "color": "#4a6b3c"}; it may have a radius and a page, too.

    Raises:
        ValueError: it is none; names the field and the value.
    """
    if not isinstance(document, Mapping):
        raise ValueError(f"expected a hint with the fields x, y and color, received {document!r:.80}")
    if unknown := [name for name in document if name not in _FIELDS]:
        raise ValueError(f"expected the fields {', '.join(_FIELDS)}, received {unknown[0]!r:.80}")
    if missing := [name for name in ("x", "y", "color") if name not in document]:
        raise ValueError(f"{missing[0]}: is missing")
    color = document["color"]
    return Hint(**{**document, "color": tuple(color) if isinstance(color, list) else color})


def hints_from_document(document: object) -> tuple[Hint, ...]:
    """Read the hints of one photograph, a list; raises ValueError naming hint, field and value."""
    if not isinstance(document, list):
        raise ValueError(f"expected a list of hints, received {document!r:.80}")
    hints = []
    for number, each in enumerate(document, 1):
        try:
            hints.append(hint_from_document(each))
        except ValueError as error:
            raise ValueError(f"hint {number}: {error}") from None
    return check_hints(hints)


def hints_from_json(data: bytes | str, source: str) -> tuple[Hint, ...]:
    """Read the hints of one photograph.

    Args:
        data: the JSON of a list.
        source: what the error calls it.

    Raises:
        TintypeError: it is no such list.
    """
    try:
        return hints_from_document(_parse(data))
    except ValueError as error:
        raise TintypeError(f"{source}: {error}") from None


def hints_beside(photo: Path) -> tuple[Hint, ...]:
    """Return the hints that lie beside a photograph in a file of its name and `SIDECAR_SUFFIX`; none without one.

    Raises:
        TintypeError: there is such a file, and it holds no hints.
    """
    sidecar = photo.with_name(photo.name + SIDECAR_SUFFIX)
    # os.path's: Path.is_file raises for a name that is too long to be a file's.
    return hints_from_json(read_hints_file(sidecar), str(sidecar)) if os.path.isfile(sidecar) else ()


def read_hints_file(path: Path) -> bytes:
    """Return what a file of hints holds, and of a larger one as much as shows that it is none; raises TintypeError."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TintypeError(f"cannot read {path}: {error.strerror or error}") from error


class HintsByPhoto:
    """The hints of many photographs: a name of each with its list.

    A name is a photograph's file name, or ends as its path does (`box/scan.tif`); of two that fit, the longer counts.

    Args:
        hints: by name.
    """

    def __init__(self, hints: Mapping[str, tuple[Hint, ...]]):
        self._hints = {_parts(name): found for name, found in hints.items()}

    @classmethod
    def from_json(cls, data: bytes | str, source: str) -> "HintsByPhoto":
        """Read {"scan.tif": [{"x": ..., "y": ..., "color": ...}], ...}; raises TintypeError naming `source`."""
        hints = {}
        try:
            document = _parse(data)
            if not isinstance(document, dict):
                raise ValueError(f"expected file names with lists of hints, received {document!r:.80}")
            for name, listed in document.items():
                try:
                    hints[name] = hints_from_document(listed)
                except ValueError as error:
                    raise ValueError(f"{name!r}: {error}") from None
        except ValueError as error:
            raise TintypeError(f"{source}: {error}") from None
        return cls(hints)

    def of(self, path: str) -> tuple[Hint, ...]:
        """Return the hints of a photograph; none where no name fits."""
        parts = _parts(path)
        for start in range(len(parts)):
            if (found := self._hints.get(parts[start:])) is not None:
                return found
        return ()

    def unused_names(self, paths: Sequence[str]) -> list[str]:
        """Return the names that fit none of these photographs."""
        all_parts = [_parts(path) for path in paths]
        return [
            "/".join(name)
            for name in self._hints
            if not any(parts[max(0, len(parts) - len(name)) :] == name for parts in all_parts)
        ]


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in PurePath(path).as_posix().split("/") if part not in ("", "."))


def _parse(data: bytes | str) -> Any:
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"more than {MAX_FILE_BYTES:,} bytes are no hints")
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is no JSON: nested too deeply") from None
    except ValueError as error:  # also of bytes that are no text
        raise ValueError(f"it is no JSON: {error}") from None


def _check_number(name: str, value: Any, most: float, expected: str) -> None:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= most:  # NaN is in no range
        raise ValueError(f"{name}: expected a number of {expected}, received {value!r:.80}")


def _checked_page(page: Any) -> int | None:
    if page is None:
        return None
    if not isinstance(page, Integral) or isinstance(page, bool) or not 1 <= int(page) <= MAX_PAGES:
        raise ValueError(f"page: expected a whole number of 1..{MAX_PAGES}, received {page!r:.80}")
    return int(page)


def _hexadecimal(color: Any) -> str:
    if isinstance(color, str) and _COLOR.fullmatch(color):
        return color.lower()
    if isinstance(color, tuple) and len(color) == 3 and all(map(_is_byte, color)):
        return "#{:02x}{:02x}{:02x}".format(*color)
    raise ValueError(f"color: expected #rrggbb or three integers of 0..255, received {color!r:.80}")


def _is_byte(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and 0 <= int(value) <= 255
