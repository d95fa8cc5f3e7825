"""POST /api/colorize: one photograph, coloured at once."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from photo.coloring_options import ColoringOptions
from serving.web import results, uploads
from serving.web.api.gateway import GatewayOfApp
from serving.web.api.openapi import OF_UPLOAD, PICTURES, ZIP, photo_body
from serving.web.api.parameters import Format, Mark, MarkMetadata, OutputFormat, Page, Strength, Variants
from serving.web.problems import Kind, Problem, documented

router = APIRouter()


@router.post(
    "/api/colorize",
    tags=["one photo"],
    summary="Colour one photo",
    response_class=Response,
    responses={
        200: {
            "description": "The photo in colour at its full size; with several variants a ZIP of them.",
            "headers": {
                "X-Tintype-Notes": {
                    "description": "What of the file is not coloured, in words with a count.",
                    "schema": {"type": "string"},
                }
            },
            "content": PICTURES | ZIP,
        },
        **documented(*OF_UPLOAD, Kind.UNAUTHORIZED, Kind.TOO_MANY_PIXELS, Kind.ONE_COLORING, Kind.MODEL_FAILED),
    },
    openapi_extra=photo_body("The photo: its bytes, or a form with one file.", several=False),
)
async def colorize(
    request: Request,
    gateway: GatewayOfApp,
    variants: Variants = 1,
    strength: Strength = 1.0,
    keep_tint: Annotated[
        bool, Query(description="Lay the tint of a toned photo (sepia) over the colour; else it is removed.")
    ] = False,
    format: Format = OutputFormat.SAME,
    page: Page = None,
    mark_metadata: MarkMetadata = True,
    mark: Mark = False,
) -> Response:
    """Send a photo, get it back in colour, in the same format and size:

    curl --data-binary @grandmother.jpg -H 'Content-Type: image/jpeg' -o coloured.jpg ADDRESS/api/colorize
    curl -F photo=@grandmother.jpg -o coloured.png 'ADDRESS/api/colorize?strength=1.2&format=png'

    What is in the file decides its format, whatever it is called. Of a TIFF of several pages all are coloured, into a
    TIFF; with `page` this one alone.
    """
    options = ColoringOptions(
        strength=strength,
        keep_tint=keep_tint,
        format=format.photo_format(),
        page=page,
        mark_metadata=mark_metadata,
        mark=mark,
        credentials=gateway.settings.credentials,
    )
    await gateway.colorizer.model(wait_for_start=True)
    received = uploads.received_photos(request, gateway.settings.limits, gateway.quota, most=1, small_in_memory=True)
    async with received as [upload]:
        if upload.problem is not None:
            raise upload.problem
        try:
            colored, found, notes = await gateway.colorizer.colorize(upload.file, options, variants=variants)
        except Problem:
            gateway.metrics.photos.labels("failed").inc()
            raise
        gateway.metrics.photos.labels("done").inc()
    if variants == 1:
        name = results.result_name(upload.name, found)
        return results.PictureResponse(colored[0], found, gateway.quota, name=name, notes=notes)
    names = [results.result_name(upload.name, found, number) for number in range(variants)]

    async def each() -> AsyncIterator[results.Result]:
        for name, data in zip(names, colored, strict=True):
            yield results.Result(name, data)

    return results.zip_response(each())
