"""/api/jobs/ID/photos: what was made of the photographs of a job, one by one or all as a ZIP."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Response
from fastapi.responses import StreamingResponse

from photo.coloring_options import ColoringOptions, ColorPhotos
from photo.formats import PhotoFormat
from photo.hints import MAX_HINTS
from photo.palette import Palette
from serving.web import results
from serving.web.api.documents import ChoiceDocument, HintDocument, JobPhotoDocument, LikelyColorDocument
from serving.web.api.gateway import GatewayOfApp
from serving.web.api.openapi import NOTES, OF_JOB, OF_RESULT, PICTURES, ZIP
from serving.web.api.parameters import (
    JOB_ID,
    ColorPhotosOfQuery,
    Format,
    JobId,
    LookOfQuery,
    Mark,
    MarkMetadata,
    Number,
    OutputFormat,
    Page,
    Reference,
    Saturation,
    Share,
    Strength,
    Warmth,
    refuse_unknown_parameters,
)
from serving.web.bounded_colorizer import BoundedColorizer
from serving.web.jobs import Job, PhotoState
from serving.web.problems import Kind, Problem, documented

# Of the shown pictures; larger ones are downloads.
_SMALLEST_SIDE, _LARGEST_SIDE = 16, 4096

_MOST_JOBS = 100  # in one ZIP

router = APIRouter(tags=["jobs"], dependencies=[Depends(refuse_unknown_parameters)])


@router.patch(
    "/api/jobs/{job_id}/photos/{number}",
    summary="Choose a colouring",
    response_model=JobPhotoDocument,
    responses=documented(*OF_JOB, Kind.CROSS_SITE, *OF_RESULT),
)
async def choose(
    job_id: JobId, number: Number, choice: Annotated[ChoiceDocument, Body()], gateway: GatewayOfApp
) -> dict[str, Any]:
    """Choose which colouring the picture and the ZIP are to show, and how strong, how warm and in which look."""
    photo = gateway.jobs.get(job_id).done_photo(number)
    variant = photo.variant if choice.variant is None else choice.variant
    _check_variant(variant, photo.variants)
    photo.palette = _changed(photo.palette, **choice.model_dump(exclude={"variant"}))
    photo.variant = variant
    return photo.document()


@router.post(
    "/api/jobs/{job_id}/photos/{number}/hints",
    status_code=202,
    summary="Colour with hints",
    response_model=JobPhotoDocument,
    responses=documented(*OF_JOB, Kind.CROSS_SITE, Kind.TOO_MANY_REQUESTS, Kind.BUSY, Kind.SERVER_AWAY, Kind.NO_PHOTO),
)
async def set_hints(
    job_id: JobId,
    number: Number,
    hints: Annotated[list[HintDocument], Body(max_length=MAX_HINTS)],
    gateway: GatewayOfApp,
) -> dict[str, Any]:
    """Colour a photo again, with these hints in place of those it had; nothing is sent again. An empty list takes them
    back."""
    job = gateway.jobs.get(job_id)
    await gateway.colorizer.model(wait_for_start=True)
    return job.color_again(number, hints=tuple(document.hint() for document in hints)).document()


@router.post(
    "/api/jobs/{job_id}/photos/{number}/color-photos",
    status_code=202,
    summary="Keep or replace a photo's own colours",
    response_model=JobPhotoDocument,
    responses=documented(*OF_JOB, Kind.CROSS_SITE, Kind.TOO_MANY_REQUESTS, Kind.BUSY, Kind.SERVER_AWAY, Kind.NO_PHOTO),
)
async def set_color_photos(
    job_id: JobId, number: Number, gateway: GatewayOfApp, color_photos: ColorPhotosOfQuery = "recolor"
) -> dict[str, Any]:
    """Say what is to be done with a photo that has colour already: with skip it is left as it is and has no result,
    with recolor it gets one; nothing is sent again."""
    job = gateway.jobs.get(job_id)
    await gateway.colorizer.model(wait_for_start=True)
    return job.color_again(number, color_photos=ColorPhotos(color_photos)).document()


@router.get(
    "/api/jobs/{job_id}/photos/{number}/likely-colors",
    summary="Likely colours of a place",
    response_model=list[LikelyColorDocument],
    responses=documented(*OF_JOB, *OF_RESULT, Kind.SERVER_AWAY, Kind.NO_HINTS, Kind.INTERNAL),
)
async def likely_colors(
    job_id: JobId, number: Number, gateway: GatewayOfApp, x: Share, y: Share
) -> list[dict[str, Any]]:
    """Return the eight likeliest colours of a place of a photo, given the hints that it has."""
    job = gateway.jobs.get(job_id)
    photo = job.done_photo(number)
    with job.in_use():
        found = await gateway.colorizer.likely_colors(photo.file, x, y, photo.hints, page=photo.pages[0])
    return [likely._asdict() for likely in found]


@router.delete(
    "/api/jobs/{job_id}/photos/{number}",
    status_code=204,
    summary="Delete a photo",
    responses=documented(*OF_JOB, Kind.CROSS_SITE),
)
async def delete_photo(job_id: JobId, number: Number, gateway: GatewayOfApp) -> None:
    """Delete one photo of the job at once."""
    gateway.jobs.get(job_id).delete_photo(number)


@router.get(
    "/api/jobs/{job_id}/photos/{number}/image",
    summary="The coloured photo",
    response_class=Response,
    responses={
        200: {"description": "The photo in colour.", "headers": NOTES, "content": PICTURES},
        **documented(*OF_JOB, *OF_RESULT, Kind.SERVER_AWAY, Kind.PHOTO_TOO_LARGE, Kind.INTERNAL),
    },
)
async def image(
    job_id: JobId,
    number: Number,
    gateway: GatewayOfApp,
    variant: Annotated[int | None, Query(ge=0, description="Which colouring; else the chosen one.")] = None,
    strength: Strength | None = None,
    look: LookOfQuery | None = None,
    warmth: Warmth | None = None,
    saturation: Saturation | None = None,
    reference: Reference | None = None,
    format: Format = OutputFormat.SAME,
    page: Page = None,
    side: Annotated[
        int | None,
        Query(ge=_SMALLEST_SIDE, le=_LARGEST_SIDE, description="Reduce the longer side to it, in pixels."),
    ] = None,
    download: Annotated[bool, Query(description="Make a browser save it.")] = False,
    mark_metadata: MarkMetadata = True,
    mark: Mark = False,
) -> Response:
    """Return the photo in colour. The model is not asked again: variants, strengths, looks and lights can be tried at
    will; what is not given is as it was chosen. A reduced picture is of one page, the first unless `page` names
    another."""
    job = gateway.jobs.get(job_id)
    photo = job.done_photo(number)
    variant = photo.variant if variant is None else variant
    _check_variant(variant, photo.variants)
    if page is not None and page - 1 not in photo.pages:
        raise Problem(Kind.WRONG_REQUEST, f"Expected a page of {_pages_in_words(photo.pages)}, received {page}")
    palette = _changed(
        photo.palette, strength=strength, look=look, warmth=warmth, saturation=saturation, reference=reference
    )
    options = ColoringOptions(
        **asdict(palette),
        format=format.photo_format(),
        page=job.page if page is None else page,
        mark_metadata=mark_metadata,
        mark=mark,
        credentials=gateway.settings.credentials,
    )
    with job.in_use():
        try:
            data, notes = await gateway.colorizer.apply_ab(
                photo.file, variant, options, provenance=photo.provenance, pixels=photo.pixels, longest_side=side
            )
        except Problem as problem:
            job.note_problem(number, problem)
            raise
    found = options.format or photo.format or PhotoFormat.JPEG
    return results.PictureResponse(
        data,
        found,
        gateway.quota,
        name=results.result_name(photo.name, found) if download else None,
        notes=notes,
        when_sent=lambda: job.note_download(number) if download and side is None else None,
    )


@router.get(
    "/api/jobs/{job_id}/photos.zip",
    summary="All coloured photos",
    response_class=StreamingResponse,
    responses={
        200: {"description": "A ZIP of the photos that are done, each as it was chosen.", "content": ZIP},
        **documented(*OF_JOB, Kind.NOT_READY, Kind.TOO_MANY_REQUESTS, Kind.BUSY),
    },
)
async def photos_zip(
    job_id: JobId,
    gateway: GatewayOfApp,
    also: Annotated[
        list[Annotated[str, Query(pattern=JOB_ID)]],
        Query(max_length=_MOST_JOBS, description="A further job, whose photos follow; may be repeated."),
    ] = [],  # noqa: B006 - FastAPI copies it
    format: Format = OutputFormat.SAME,
    mark_metadata: MarkMetadata = True,
    mark: Mark = False,
) -> StreamingResponse:
    """Return all photos that are done, at their full size; what was left out stands in left-out.txt."""
    jobs = [gateway.jobs.get(each) for each in dict.fromkeys([job_id, *also])]
    if not any(photo.state is PhotoState.DONE for job in jobs for photo in job.photos.values()):
        raise Problem(Kind.NOT_READY)
    options = ColoringOptions(
        format=format.photo_format(),
        mark_metadata=mark_metadata,
        mark=mark,
        credentials=gateway.settings.credentials,
    )
    return results.zip_response(_results(jobs, gateway.colorizer, options))


async def _results(
    jobs: list[Job], colorizer: BoundedColorizer, options: ColoringOptions
) -> AsyncIterator[results.Result]:
    left_out: list[str] = []
    with ExitStack() as stack:
        for job in jobs:
            stack.enter_context(job.in_use())
        for job in jobs:
            sent = []
            for number, photo in list(job.photos.items()):
                try:
                    yield await _result(job, number, colorizer, options)
                except Problem as problem:
                    job.note_problem(number, problem)
                    left_out.append(f"{photo.name}: {problem.detail}\n")
                else:
                    sent.append(number)
            job.note_download(*sent)
        if left_out:
            yield results.Result("left-out.txt", "".join(left_out).encode("utf-8", "replace"))


async def _result(job: Job, number: int, colorizer: BoundedColorizer, options: ColoringOptions) -> results.Result:
    photo = job.done_photo(number)
    data, _ = await colorizer.apply_ab(
        photo.file,
        photo.variant,
        replace(options, **asdict(photo.palette), page=job.page),
        provenance=photo.provenance,
        pixels=photo.pixels,
    )
    return results.Result(results.result_name(photo.name, options.format or photo.format or PhotoFormat.JPEG), data)


def _changed(palette: Palette, **choice: Any) -> Palette:
    """Return a palette with what was chosen, which is not None, in place of what it had; raises Problem."""
    try:
        return replace(palette, **{name: value for name, value in choice.items() if value is not None})
    except ValueError as error:
        raise Problem(Kind.WRONG_REQUEST, str(error)) from error


def _pages_in_words(pages: range) -> str:
    return f"{pages[0] + 1}..{pages[-1] + 1}" if len(pages) > 1 else f"{pages[0] + 1}"


def _check_variant(variant: int, count: int) -> None:
    if variant >= count:
        raise Problem(Kind.WRONG_REQUEST, f"Expected a variant of 0..{count - 1}, received {variant}")
