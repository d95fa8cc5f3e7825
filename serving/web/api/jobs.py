"""/api/jobs: many photographs at a time, coloured while their sender watches or does something else."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from photo.coloring_options import ColoringOptions, ColorPhotos
from serving.web import uploads
from serving.web.api.documents import JobDocument
from serving.web.api.gateway import GatewayOfApp
from serving.web.api.openapi import OF_JOB, OF_UPLOAD, photo_body
from serving.web.api.parameters import (
    ColorPhotosOfQuery,
    JobId,
    Page,
    Render,
    Variants,
    refuse_unknown_parameters,
    sides_of,
)
from serving.web.problems import Kind, Problem, documented

router = APIRouter(tags=["jobs"], dependencies=[Depends(refuse_unknown_parameters)])


@router.post(
    "/api/jobs",
    status_code=202,
    summary="Begin a job",
    response_model=JobDocument,
    responses=documented(*OF_UPLOAD, Kind.UNAUTHORIZED),
    openapi_extra=photo_body("The photos: a form with a file each, or the bytes of one.", several=True),
)
async def create_job(
    request: Request,
    response: Response,
    gateway: GatewayOfApp,
    variants: Variants = 1,
    render: Render = "",
    color_photos: ColorPhotosOfQuery = "recolor",
    page: Page = None,
) -> dict[str, Any]:
    """Send photos to be coloured; the answer comes once they have arrived. A photo that cannot be used is FAILED
    in the answer, or later; the others go on. A ZIP is opened: its photos are those of the job, and what is left out
    of it is FAILED."""
    options = ColoringOptions(
        render=sides_of(render),
        color_photos=ColorPhotos(color_photos),
        page=page,
        credentials=gateway.settings.credentials,
    )
    await gateway.colorizer.model(wait_for_start=True)
    limits = gateway.settings.limits
    async with uploads.received_photos(request, limits, gateway.quota, opens_archives=True) as received:
        job = gateway.jobs.create(received, variants, options)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return job.document()


@router.post(
    "/api/jobs/{job_id}/photos",
    status_code=202,
    summary="Add photos",
    response_model=JobDocument,
    responses=documented(*OF_UPLOAD, *OF_JOB),
    openapi_extra=photo_body("The photos: a form with a file each, or the bytes of one.", several=True),
)
async def add_photos(
    job_id: JobId, request: Request, gateway: GatewayOfApp, color_photos: ColorPhotosOfQuery | None = None
) -> dict[str, Any]:
    """Add photos, or ZIPs of them, to a job; `color_photos` is the job's where it is not given."""
    job, limits = gateway.jobs.get(job_id), gateway.settings.limits
    with job.in_use():
        if len(job.photos) >= limits.photos:
            raise Problem(Kind.TOO_MANY_PHOTOS, f"A job has at most {limits.photos}")
        await gateway.colorizer.model(wait_for_start=True)
        async with uploads.received_photos(request, limits, gateway.quota, opens_archives=True) as received:
            job.extend(received, None if color_photos is None else ColorPhotos(color_photos))
    return job.document()


@router.get(
    "/api/jobs/{job_id}",
    summary="How a job stands",
    response_model=JobDocument,
    responses=documented(*OF_JOB),
)
async def get_job(job_id: JobId, gateway: GatewayOfApp) -> dict[str, Any]:
    """Return the job and its photos."""
    return gateway.jobs.get(job_id).document()


@router.get(
    "/api/jobs/{job_id}/events",
    summary="Follow a job",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events named `job`, each with the whole job as JSON, at once and after "
            "every change; the stream ends when the job is done.",
            "content": {"text/event-stream": {}},
        },
        **documented(*OF_JOB, Kind.TOO_MANY_REQUESTS, Kind.BUSY),
    },
)
async def follow_job(job_id: JobId, gateway: GatewayOfApp) -> StreamingResponse:
    """Follow the job as server-sent events."""
    job = gateway.jobs.get(job_id)

    async def events() -> AsyncIterator[str]:
        async for document in job.documents(gateway.settings.heartbeat_seconds):
            yield ": still here\n\n" if document is None else f"event: job\ndata: {json.dumps(document)}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.post(
    "/api/jobs/{job_id}/retry",
    status_code=202,
    summary="Try again",
    response_model=JobDocument,
    responses=documented(*OF_JOB, Kind.CROSS_SITE, Kind.TOO_MANY_REQUESTS, Kind.BUSY, Kind.SERVER_AWAY),
)
async def retry_job(job_id: JobId, gateway: GatewayOfApp) -> dict[str, Any]:
    """Colour the photos again whose problem is `retryable`: nothing needs to be sent again."""
    job = gateway.jobs.get(job_id)
    await gateway.colorizer.model(wait_for_start=True)
    job.retry()
    return job.document()


@router.delete(
    "/api/jobs/{job_id}",
    status_code=204,
    summary="Delete a job",
    responses=documented(*OF_JOB, Kind.CROSS_SITE),
)
async def delete_job(
    job_id: JobId,
    gateway: GatewayOfApp,
    unless_asked_for: Annotated[
        float | None,
        Query(
            ge=0, le=600, allow_inf_nan=False,
            description="Delete it after so many seconds, unless somebody asks for it before.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Delete the job, its photos and its results at once, or in a moment: a page that is left may be one that is
    loaded anew."""
    if unless_asked_for is None:
        gateway.jobs.delete(job_id)
    else:
        gateway.jobs.get(job_id).note_leaving(unless_asked_for)
