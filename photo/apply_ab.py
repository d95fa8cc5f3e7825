"""Joins a photograph with colour that was found for it before: as often as wanted, with whatever strength."""

from typing import Any

from numpy.typing import NDArray

from photo.any_kind import open_photo
from photo.coloring import finish, prepare
from photo.geometry import resize
from photo.limits import MAX_PIXELS


def apply_chroma(
    photo: Any,
    ab: NDArray,
    *,
    strength: float = 1.0,
    keep_tint: bool = False,
    format: str | None = None,
    quality: int = 92,
    longest_side: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Any:
    """Colour a photograph with what `Colorizer.chroma` returned for it; nobody is asked, nothing is sent.

        [ab] = colorizer.chroma("grandmother.jpg")
        pale, vivid = (apply_chroma("grandmother.jpg", ab, strength=strength) for strength in (0.6, 1.3))

    Args:
        photo: the same photograph, as `Colorizer.colorize` takes it.
        ab: a*b* for its square, float32 [S, S, 2], CIE units.
        strength: factor on the chroma: 0 is gray, 1 the model's colour, more is more vivid.
        keep_tint: lay the photograph's own tint over the colour, as `Colorizer.colorize` does.
        format: for a path or bytes: "JPEG", "PNG", "WEBP", "TIFF" or "BMP"; None keeps the photograph's own.
        quality: 1..100, of JPEG and WebP.
        longest_side: reduce the photograph to it before it is coloured, in pixels; None keeps its size.
        max_pixels: larger photographs are refused.

    Returns:
        The same kind, as `Colorizer.colorize` returns it.

    Raises:
        PhotoError: when the photograph cannot be used.
    """
    rgb, in_kind = open_photo(photo, max_pixels=max_pixels, format=format, quality=quality)
    height, width = rgb.shape[:2]
    if longest_side is not None and longest_side < max(height, width):
        scale = longest_side / max(height, width)
        rgb = resize(rgb, max(1, round(scale * height)), max(1, round(scale * width)))
    return in_kind(finish(prepare(rgb, ab.shape[0], keep_tint=keep_tint), ab, strength))
