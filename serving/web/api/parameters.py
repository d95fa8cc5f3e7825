"""Parameters that several routes have."""

from enum import StrEnum
from typing import Annotated, Literal

from fastapi import Depends, Path, Query, Request
from fastapi.routing import APIRoute

from photo.coloring_options import ColoringOptions, parse_sides
from photo.formats import PhotoFormat
from photo.palette import MOST_SATURATION, MOST_STRENGTH, Look, Palette
from photo.reference_text import LONGEST_REFERENCE
from serving.web.problems import Kind, Problem
from serving.web.settings import MOST_VARIANTS


class OutputFormat(StrEnum):
    """What `format` may be."""

    SAME = "same"
    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    TIFF = "tiff"

    def photo_format(self) -> PhotoFormat | None:
        """Return the format; None for the photograph's own."""
        return None if self is OutputFormat.SAME else PhotoFormat(self.value.upper())


Strength = Annotated[
    float,
    Query(
        ge=0, le=MOST_STRENGTH, allow_inf_nan=False, description="Factor on the colour: 0 gray, 1 as the model says."
    ),
]
LookOfQuery = Annotated[Look, Query(description="Show the colours as a film or a time did; light and shade stay.")]
Warmth = Annotated[float, Query(ge=-1, le=1, allow_inf_nan=False, description="Of the light: above 0 warmer.")]
Saturation = Annotated[
    float,
    Query(
        ge=0,
        le=MOST_SATURATION,
        allow_inf_nan=False,
        description="Factor on the model's colours alone; tones of a look or of the light stay.",
    ),
]
Reference = Annotated[
    str,
    Query(
        max_length=LONGEST_REFERENCE,
        description="Colours of another photo, as `POST /api/reference-colors` gives them: taken for what is alike.",
    ),
]
Variants = Annotated[int, Query(ge=1, le=MOST_VARIANTS, description="Plausible colourings wanted of each photo.")]
Render = Annotated[
    str,
    Query(
        pattern=r"^([0-9]{1,5}(,[0-9]{1,5})*)?$",
        max_length=32,
        description="Side in pixels at which the model is asked, a multiple of its stride; of several (128,256) the "
        "mean is taken. Without: the model's own.",
    ),
]
Share = Annotated[float, Query(ge=0, le=1, allow_inf_nan=False, description="Of the photo's width or height.")]
Format = Annotated[OutputFormat, Query(description="Of the result; same: the format of the photo that was sent.")]
Page = Annotated[
    int | None,
    Query(ge=1, le=1_000_000, description="Of a TIFF of several pages this one, from 1; else all, into a TIFF."),
]
MarkMetadata = Annotated[
    bool, Query(description="Say in the metadata of the result (XMP, EXIF) that a machine made the colours.")
]
Mark = Annotated[bool, Query(description="Say so in the picture, too, small in a corner.")]
KeepTint = Annotated[
    bool, Query(description="Lay the tint of a toned photo (sepia) over the colour; else it is removed.")
]
ColorPhotosOfQuery = Annotated[
    Literal["recolor", "skip"],
    Query(description="What to do with a photo that has colour already; skip answers with a problem."),
]


def palette_of_query(
    strength: Strength = 1.0,
    look: LookOfQuery = Look.FAITHFUL,
    warmth: Warmth = 0.0,
    saturation: Saturation = 1.0,
    reference: Reference = "",
) -> Palette:
    """Return what the parameters say of how the colours are laid on; raises Problem for what is no reference."""
    try:
        return Palette(strength, look, warmth, saturation, reference)
    except ValueError as error:
        raise Problem(Kind.WRONG_REQUEST, str(error)) from error


PaletteOfQuery = Annotated[Palette, Depends(palette_of_query)]


async def refuse_unknown_parameters(request: Request) -> None:
    """Raise Problem for a parameter that the route does not have, as one that is misspelt."""
    route: APIRoute = request.scope["route"]
    dependants = (route.dependant, *route.dependant.dependencies)
    known = {field.alias for dependant in dependants for field in dependant.query_params}
    if unknown := [name for name in request.query_params if name not in known]:
        expected = f"expected one of {', '.join(sorted(known))}" if known else "expected none"
        raise Problem(Kind.WRONG_REQUEST, f"The parameter {unknown[0][:40]!r} is unknown; {expected}")


def sides_of(render: Render) -> tuple[int, ...] | None:
    """Return the sides that are named; raises Problem for impossible ones."""
    try:
        return ColoringOptions(render=parse_sides(render)).render
    except ValueError as error:
        raise Problem(Kind.WRONG_REQUEST, str(error)) from error


JOB_ID = "^[A-Za-z0-9_-]{8,64}$"
JobId = Annotated[str, Path(description="Of the job.", pattern=JOB_ID)]
Number = Annotated[int, Path(description="Of the photo in the job.", ge=0, le=1_000_000)]
