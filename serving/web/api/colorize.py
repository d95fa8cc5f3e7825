"""POST /api/colorize: one photograph, coloured at once."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from photo.coloring_options import ColoringOptions, ColorPhotos
from serving.web import results, uploads
from serving.web.api.documents import LikelyColorDocument, ReferenceDocument
from serving.web.api.gateway import GatewayOfApp
from serving.web.api.openapi import NOTES, OF_UPLOAD, PICTURES, ZIP, photo_body
from serving.web.api.parameters import (
    ColorPhotosOfQuery,
    Format,
    KeepTint,
    Mark,
    MarkMetadata,
    OutputFormat,
    Page,
    PaletteOfQuery,
    Render,
    Share,
    Variants,
    refuse_unknown_parameters,
    sides_of,
)
from serving.web.problems import Kind, Problem, documented

router = APIRouter(dependencies=[Depends(refuse_unknown_parameters)])


@router.post(
    "/api/colorize",
    tags=["one photo"],
    summary="Colour one photo",
    response_class=Response,
    responses={
        200: {
            "description": "The photo in colour at its full size; with several variants a ZIP of them.",
            "headers": NOTES,
            "content": PICTURES | ZIP,
        },
        **documented(
            *OF_UPLOAD,
            Kind.UNAUTHORIZED,
            Kind.TOO_MANY_PIXELS,
            Kind.ONE_COLORING,
            Kind.NO_HINTS,
            Kind.IN_COLOR,
            Kind.MODEL_FAILED,
        ),
    },
    openapi_extra=photo_body("The photo: its bytes, or a form with one file.", several=False),
)
async def colorize(
    request: Request,
    gateway: GatewayOfApp,
    palette: PaletteOfQuery,
    variants: Variants = 1,
    keep_tint: KeepTint = False,
    color_photos: ColorPhotosOfQuery = "recolor",
    render: Render = "",
    format: Format = OutputFormat.SAME,
    page: Page = None,
    mark_metadata: MarkMetadata = True,
    mark: Mark = False,
) -> Response:
    """Send a photo, get it back in colour, in the same format and size:

    curl --data-binary @grandmother.jpg -H 'Content-Type: image/jpeg' -o coloured.jpg ADDRESS/api/colorize
    curl -F photo=@grandmother.jpg -o coloured.png 'ADDRESS/api/colorize?strength=1.2&format=png'

    With a colour that somebody remembers, where the model takes hints (x and y are shares of width and height):

    curl -F photo=@grandmother.jpg -F 'hints=[{"x": 0.42, "y": 0.31, "color": "#4a6b3c"}]' -o c.jpg ADDRESS/api/colorize

    What is in the file decides its format, not its name. Of a TIFF all pages are coloured, or with `page` that one.
    """
    options = ColoringOptions(
        **asdict(palette),
        keep_tint=keep_tint,
        color_photos=ColorPhotos(color_photos),
        render=sides_of(render),
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
        if upload.hints and variants > 1:
            raise Problem(Kind.WRONG_REQUEST, "Hints give one colouring; leave the hints or the variants out")
        try:
            colored, found = await gateway.colorizer.colorize(
                upload.file, options, variants=variants, hints=upload.hints
            )
        except Problem:
            gateway.metrics.photos.labels("failed").inc()
            raise
        gateway.metrics.photos.labels("done").inc()
    if variants == 1:
        [(data, notes)] = colored
        name = results.result_name(upload.name, found)
        return results.PictureResponse(data, found, gateway.quota, name=name, notes=notes)

    async def each() -> AsyncIterator[results.Result]:
        for number, one in enumerate(colored):
            yield results.Result(results.result_name(upload.name, found, number), one.data)

    return results.zip_response(each(), tuple(dict.fromkeys(note for one in colored for note in one.notes)))


@router.post(
    "/api/reference-colors",
    tags=["one photo"],
    summary="Colours for others to take",
    response_model=ReferenceDocument,
    responses=documented(*OF_UPLOAD, Kind.UNAUTHORIZED, Kind.TOO_MANY_PIXELS),
    openapi_extra=photo_body("A photo in colour: its bytes, or a form with one file.", several=False),
)
async def reference_colors(request: Request, gateway: GatewayOfApp) -> dict[str, str]:
    """Send a photo in colour, get what other photos need to take its colours for what is alike in them: the parameter
    `reference` of `/api/colorize`, of the choice for a photo of a job, and of its picture."""
    received = uploads.received_photos(request, gateway.settings.limits, gateway.quota, most=1, small_in_memory=True)
    async with received as [upload]:
        if upload.problem is not None:
            raise upload.problem
        return {"reference": await gateway.colorizer.reference_colors(upload.file)}


@router.post(
    "/api/likely-colors",
    tags=["one photo"],
    summary="Likely colours of a place",
    response_model=list[LikelyColorDocument],
    responses=documented(*OF_UPLOAD, Kind.UNAUTHORIZED, Kind.TOO_MANY_PIXELS, Kind.NO_HINTS, Kind.MODEL_FAILED),
    openapi_extra=photo_body("The photo: its bytes, or a form with one file and the hints set so far.", several=False),
)
async def likely_colors(request: Request, gateway: GatewayOfApp, x: Share, y: Share) -> list[dict[str, Any]]:
    """Send a photo, get the eight likeliest colours of a place of it, for a hint to be chosen from them:

    curl --data-binary @grandmother.jpg 'ADDRESS/api/likely-colors?x=0.42&y=0.31'
    """
    await gateway.colorizer.model(wait_for_start=True)
    received = uploads.received_photos(request, gateway.settings.limits, gateway.quota, most=1, small_in_memory=True)
    async with received as [upload]:
        if upload.problem is not None:
            raise upload.problem
        return [likely._asdict() for likely in await gateway.colorizer.likely_colors(upload.file, x, y, upload.hints)]
