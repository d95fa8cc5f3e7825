"""`VideoOptions`: how a film is coloured and written. `TimedHint`: a colour that holds from a time on."""

import math
from dataclasses import dataclass
from typing import Any

from photo.hints import Hint, parse_hint

CODECS = {"h264": "libx264", "h265": "libx265", "ffv1": "ffv1"}
"""Codecs by the names that people use, and FFmpeg's encoder of each."""

_BEST_QUALITY, _WORST_QUALITY = 0, 51


@dataclass(frozen=True)
class TimedHint:
    """A hint for the part of a shot that is worked on at once; it follows the motion.

    Attributes:
        seconds: since the start of the film, of the frame that the hint's place is meant in.
        hint: the colour and its place.
    """

    seconds: float
    hint: Hint


@dataclass(frozen=True)
class VideoOptions:
    """How a film is coloured and written.

    Attributes:
        strength: factor on the chroma: 0 is gray, 1 the model's colour.
        every: ask the model for every so manieth frame only, and move its colours to those between.
        codec: one of `CODECS`.
        quality: the constant rate factor of H.264 and H.265, 0 (lossless) to 51 (worst).
        mark_metadata: say in the container's metadata that a machine made the colours.
        overwrite: replace a result that is there already.

    Raises:
        ValueError: for a value that can never work.
    """

    strength: float = 1.0
    every: int = 1
    codec: str = "h264"
    quality: int = 18
    mark_metadata: bool = True
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not (self.strength >= 0 and math.isfinite(self.strength)):
            raise ValueError(f"expected a strength of at least 0, received {self.strength}")
        if self.every < 1:
            raise ValueError(f"every: expected at least 1, received {self.every}")
        if self.codec not in CODECS:
            raise ValueError(f"expected a codec of {', '.join(CODECS)}, received {self.codec!r}")
        if not _BEST_QUALITY <= self.quality <= _WORST_QUALITY:
            raise ValueError(f"expected a quality of {_BEST_QUALITY}..{_WORST_QUALITY}, received {self.quality}")

    def encoder_settings(self) -> dict[str, str]:
        """Return the encoder's settings. Frames leave it in their order, so that segments join without a gap."""
        if self.codec == "ffv1":
            return {"level": "3"}
        settings: dict[str, Any] = {"crf": str(self.quality), "preset": "veryfast", "bf": "0"}
        if self.codec == "h265":
            settings["x265-params"] = "bframes=0:log-level=error"
        return settings


def parse_timed_hint(text: str) -> TimedHint:
    """Read a hint as the command line has it: SECONDS@X,Y=#rrggbb; without a time it is meant at the start.

    Raises:
        ValueError: it is none; names the field and the value.
    """
    seconds, at, place = text.rpartition("@")
    try:
        time = float(seconds) if at else 0.0
    except ValueError:
        raise ValueError(f"seconds: expected a number, received {seconds!r}, in the hint {text!r}") from None
    if not (math.isfinite(time) and time >= 0):
        raise ValueError(f"seconds: expected a time since the start, received {seconds!r}, in the hint {text!r}")
    return TimedHint(time, parse_hint(place))
