"""The HTTP API: one photograph coloured at once, jobs of many with progress, and what operators ask."""

import json
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from serving.web import metrics as prometheus
from serving.web import results, uploads
from serving.web.bounded_colorizer import Studio
from serving.web.jobs import Job, Jobs, State
from serving.web.metrics import Metrics
from serving.web.middleware import COOKIE, session_cookie
from serving.web.nameless_file import Quota
from serving.web.problems import Kind, Problem, ProblemDocument, documented
from serving.web.settings import WebSettings

# Comments in a stream of events, so that proxies do not take it for dead, in seconds.
_HEARTBEAT_SECONDS = 15.0

# Of the shown pictures; larger ones are downloads.
_SMALLEST_SIDE, _LARGEST_SIDE = 16, 4096
_MOST_STRENGTH = 4.0  # as in `tintype colorize`


class OutputFormat(StrEnum):
    """What `format` may be."""

    SAME = "same"
    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    TIFF = "tiff"

    def client_format(self) -> str | None:
        """Return it as the client calls it."""
        return None if self is OutputFormat.SAME else self.value.upper()


class JobPhotoDocument(BaseModel):
    """One photo of a job."""

    number: int = Field(description="Names it within the job.", ge=0)
    name: str = Field(description="The file's name as it was sent, made harmless.")
    state: State
    format: str | None = Field(description="Of the file that was sent; null before it was looked at.")
    width: int | None = Field(description="In pixels.")
    height: int | None = Field(description="In pixels.")
    variants: int = Field(description="How many colourings there are; fewer than wanted where the model gives one.")
    variant: int = Field(description="The one that was chosen, from 0.")
    strength: float = Field(description="The strength of the colour that was chosen.")
    problem: ProblemDocument | None = Field(description="Why it failed.")


class JobDocument(BaseModel):
    """A job and its photos."""

    id: str = Field(description="Cannot be guessed: who knows it may see the photos.")
    state: Literal["working", "done"] = Field(description="done: every photo is done or has failed.")
    expires_in: int = Field(description="Seconds until it is deleted, if nobody asks for it.", ge=0)
    photos: list[JobPhotoDocument]


class ChoiceDocument(BaseModel, extra="forbid"):
    """What was chosen for a photo."""

    variant: int | None = Field(None, description="Which of the colourings, from 0.", ge=0, strict=True)
    strength: float | None = Field(
        None, description="Factor on the colour: 0 gray, 1 as the model says.", ge=0, le=_MOST_STRENGTH,
        allow_inf_nan=False, strict=True,
    )  # fmt: skip


class LimitsDocument(BaseModel):
    """What is taken."""

    photo_bytes: int
    pixels: int
    photos: int = Field(description="In one job.")
    variants: int


class AboutDocument(BaseModel):
    """What the gateway and its model are."""

    model: str | None = Field(description="The recipe the model was trained with; null while the server is away.")
    limits: LimitsDocument
    formats: list[str] = Field(description="Media types of photos that are taken.")
    keep_seconds: float = Field(description="How long a job stays after it was last asked for.")
    keep_after_download_seconds: float = Field(description="How long it stays once all its results were downloaded.")


class StatusDocument(BaseModel):
    """That all is well."""

    status: Literal["ok"] = "ok"


_Strength = Annotated[
    float,
    Query(
        ge=0, le=_MOST_STRENGTH, allow_inf_nan=False, description="Factor on the colour: 0 gray, 1 as the model says."
    ),
]
_Format = Annotated[OutputFormat, Query(description="Of the result; same: the format of the photo that was sent.")]
_JobId = Annotated[str, Path(description="Of the job.", pattern="^[A-Za-z0-9_-]{8,64}$")]
_Number = Annotated[int, Path(description="Of the photo in the job.", ge=0, le=1_000_000)]

_PICTURES: dict[str, Any] = {media_type: {} for media_type in results.MEDIA_TYPES.values()}
_BINARY = {"type": "string", "format": "binary"}
_ZIP = {"application/zip": {"schema": _BINARY}}

_UPLOADING = (
    Kind.BROKEN_UPLOAD, Kind.CROSS_SITE, Kind.UPLOAD_TOO_SLOW, Kind.PHOTO_TOO_LARGE, Kind.NO_PHOTO, Kind.BROKEN_PHOTO,
    Kind.WRONG_REQUEST, Kind.TOO_MANY_PHOTOS, Kind.TOO_MANY_REQUESTS, Kind.BUSY, Kind.SERVER_AWAY,
)  # fmt: skip
_OF_JOB = (Kind.UNAUTHORIZED, Kind.NOT_FOUND, Kind.WRONG_REQUEST)
_OF_RESULT = (Kind.NO_PHOTO, Kind.NOT_READY, Kind.MODEL_FAILED, Kind.TOO_MANY_REQUESTS, Kind.BUSY)


def _photo_body(description: str, *, several: bool) -> dict[str, Any]:
    photo = {"type": "array", "items": _BINARY, "minItems": 1} if several else _BINARY
    form = {
        "schema": {
            "type": "object",
            "required": [uploads.FIELD],
            "properties": {uploads.FIELD: photo},
            "additionalProperties": False,
        }
    }
    raw = {
        media_type: {"schema": _BINARY} for media_type in (*results.MEDIA_TYPES.values(), "application/octet-stream")
    }
    return {
        "requestBody": {"required": True, "description": description, "content": {"multipart/form-data": form, **raw}}
    }


def create_router(settings: WebSettings, studio: Studio, jobs: Jobs, quota: Quota, metrics: Metrics) -> APIRouter:
    """Return the routes of the API."""
    router = APIRouter()
    limits = settings.limits
    _Variants = Annotated[  # noqa: N806 - a type
        int,
        Query(ge=1, le=limits.variants, description="Plausible colourings wanted of each photo."),
    ]

    @router.post(
        "/api/colorize",
        tags=["one photo"],
        summary="Colour one photo",
        response_class=Response,
        responses={
            200: {
                "description": "The photo in colour at its full size; with several variants a ZIP of them.",
                "content": _PICTURES | _ZIP,
            },
            **documented(*_UPLOADING, Kind.UNAUTHORIZED, Kind.TOO_MANY_PIXELS, Kind.ONE_COLOURING, Kind.MODEL_FAILED),
        },
        openapi_extra=_photo_body("The photo: its bytes, or a form with one file.", several=False),
    )
    async def colorize(
        request: Request,
        variants: _Variants = 1,
        strength: _Strength = 1.0,
        keep_tint: Annotated[
            bool, Query(description="Lay the tint of a toned photo (sepia) over the colour; else it is removed.")
        ] = False,
        format: _Format = OutputFormat.SAME,
    ) -> Response:
        """Send a photo, get it back in colour, in the same format and size:

        curl --data-binary @grandmother.jpg -H 'Content-Type: image/jpeg' -o coloured.jpg ADDRESS/api/colorize
        curl -F photo=@grandmother.jpg -o coloured.png 'ADDRESS/api/colorize?strength=1.2&format=png'

        What is in the file decides its format, whatever it is called.
        """
        await studio.model(patient=True)
        async with uploads.received_photos(request, limits, quota, most=1, may_stay=True) as [upload]:
            if upload.problem is not None:
                raise upload.problem
            try:
                colored, found = await studio.colorize(
                    upload.file,
                    variants=variants,
                    strength=strength,
                    keep_tint=keep_tint,
                    format=format.client_format(),
                )
            except Problem:
                metrics.photos.labels("failed").inc()
                raise
            metrics.photos.labels("done").inc()
        if variants == 1:
            return results.PictureResponse(colored[0], found, quota, name=results.result_name(upload.name, found))
        names = [results.result_name(upload.name, found, number) for number in range(variants)]

        async def each() -> AsyncIterator[results.Result]:
            for name, data in zip(names, colored, strict=True):
                yield results.Result(name, data)

        return _zip_response(each())

    @router.post(
        "/api/jobs",
        status_code=202,
        tags=["jobs"],
        summary="Begin a job",
        response_model=JobDocument,
        responses=documented(*_UPLOADING, Kind.UNAUTHORIZED),
        openapi_extra=_photo_body("The photos: a form with a file each, or the bytes of one.", several=True),
    )
    async def create_job(request: Request, response: Response, variants: _Variants = 1) -> dict[str, Any]:
        """Send photos to be coloured; the answer comes once they have arrived. A photo that cannot be used is FAILED
        in the answer, or later; the others go on."""
        await studio.model(patient=True)
        async with uploads.received_photos(request, limits, quota) as received:
            job = jobs.create(received, variants)
        response.headers["Location"] = f"/api/jobs/{job.id}"
        return job.document()

    @router.post(
        "/api/jobs/{job_id}/photos",
        status_code=202,
        tags=["jobs"],
        summary="Add photos",
        response_model=JobDocument,
        responses=documented(*_UPLOADING, *_OF_JOB),
        openapi_extra=_photo_body("The photos: a form with a file each, or the bytes of one.", several=True),
    )
    async def add_photos(job_id: _JobId, request: Request) -> dict[str, Any]:
        """Add photos to a job."""
        job = jobs.get(job_id)
        with job.in_use():
            if len(job.photos) >= limits.photos:
                raise Problem(Kind.TOO_MANY_PHOTOS, f"A job has at most {limits.photos}")
            await studio.model(patient=True)
            async with uploads.received_photos(request, limits, quota) as received:
                jobs.extend(job, received)
        return job.document()

    @router.get(
        "/api/jobs/{job_id}",
        tags=["jobs"],
        summary="How a job stands",
        response_model=JobDocument,
        responses=documented(*_OF_JOB),
    )
    async def get_job(job_id: _JobId) -> dict[str, Any]:
        """Return the job and its photos."""
        return jobs.get(job_id).document()

    @router.get(
        "/api/jobs/{job_id}/events",
        tags=["jobs"],
        summary="Follow a job",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "Server-sent events named `job`, each with the whole job as JSON, at once and after "
                "every change; the stream ends when the job is done.",
                "content": {"text/event-stream": {}},
            },
            **documented(*_OF_JOB, Kind.TOO_MANY_REQUESTS, Kind.BUSY),
        },
    )
    async def follow_job(job_id: _JobId) -> StreamingResponse:
        """Follow the job as server-sent events."""
        job = jobs.get(job_id)

        async def events() -> AsyncIterator[str]:
            async for document in job.documents(_HEARTBEAT_SECONDS):
                yield ": still here\n\n" if document is None else f"event: job\ndata: {json.dumps(document)}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @router.post(
        "/api/jobs/{job_id}/retry",
        status_code=202,
        tags=["jobs"],
        summary="Try again",
        response_model=JobDocument,
        responses=documented(*_OF_JOB, Kind.CROSS_SITE, Kind.TOO_MANY_REQUESTS, Kind.BUSY, Kind.SERVER_AWAY),
    )
    async def retry_job(job_id: _JobId) -> dict[str, Any]:
        """Colour the photos again whose problem is `retryable`: nothing needs to be sent again."""
        job = jobs.get(job_id)
        await studio.model(patient=True)
        jobs.retry(job)
        return job.document()

    @router.delete(
        "/api/jobs/{job_id}",
        status_code=204,
        tags=["jobs"],
        summary="Delete a job",
        responses=documented(*_OF_JOB, Kind.CROSS_SITE),
    )
    async def delete_job(job_id: _JobId) -> None:
        """Delete the job, its photos and its results at once."""
        jobs.delete(job_id)

    @router.patch(
        "/api/jobs/{job_id}/photos/{number}",
        tags=["jobs"],
        summary="Choose a colouring",
        response_model=JobPhotoDocument,
        responses=documented(*_OF_JOB, Kind.CROSS_SITE, *_OF_RESULT),
    )
    async def choose(job_id: _JobId, number: _Number, choice: Annotated[ChoiceDocument, Body()]) -> dict[str, Any]:
        """Choose which colouring, and how strong, the picture and the ZIP are to show."""
        job = jobs.get(job_id)
        photo = job.done_photo(number)
        if choice.variant is not None:
            _check_variant(choice.variant, photo.variants)
            photo.variant = choice.variant
        if choice.strength is not None:
            photo.strength = choice.strength
        return photo.document()

    @router.delete(
        "/api/jobs/{job_id}/photos/{number}",
        status_code=204,
        tags=["jobs"],
        summary="Delete a photo",
        responses=documented(*_OF_JOB, Kind.CROSS_SITE),
    )
    async def delete_photo(job_id: _JobId, number: _Number) -> None:
        """Delete one photo of the job at once."""
        jobs.delete_photo(jobs.get(job_id), number)

    @router.get(
        "/api/jobs/{job_id}/photos/{number}/image",
        tags=["jobs"],
        summary="The coloured photo",
        response_class=Response,
        responses={
            200: {"description": "The photo in colour.", "content": _PICTURES},
            **documented(*_OF_JOB, *_OF_RESULT, Kind.SERVER_AWAY, Kind.PHOTO_TOO_LARGE, Kind.INTERNAL),
        },
    )
    async def image(
        job_id: _JobId,
        number: _Number,
        variant: Annotated[int | None, Query(ge=0, description="Which colouring; else the chosen one.")] = None,
        strength: Annotated[
            float | None,
            Query(
                ge=0, le=_MOST_STRENGTH, allow_inf_nan=False, description="Factor on the colour; else the chosen one."
            ),
        ] = None,
        format: _Format = OutputFormat.SAME,
        side: Annotated[
            int | None,
            Query(ge=_SMALLEST_SIDE, le=_LARGEST_SIDE, description="Reduce the longer side to it, in pixels."),
        ] = None,
        download: Annotated[bool, Query(description="Make a browser save it.")] = False,
    ) -> Response:
        """Return the photo in colour. The model is not asked again: strengths and variants can be tried at will."""
        job = jobs.get(job_id)
        photo = job.done_photo(number)
        variant = photo.variant if variant is None else variant
        _check_variant(variant, photo.variants)
        with job.in_use():
            data = await studio.paint(
                photo.file,
                variant,
                pixels=photo.pixels,
                strength=photo.strength if strength is None else strength,
                format=format.client_format(),
                longest_side=side,
            )
        found = format.client_format() or photo.format or "JPEG"
        return results.PictureResponse(
            data,
            found,
            quota,
            name=results.result_name(photo.name, found) if download else None,
            when_sent=lambda: job.note_download(number) if download and side is None else None,
        )

    @router.get(
        "/api/jobs/{job_id}/photos.zip",
        tags=["jobs"],
        summary="All coloured photos",
        response_class=StreamingResponse,
        responses={
            200: {"description": "A ZIP of the photos that are done, each as it was chosen.", "content": _ZIP},
            **documented(*_OF_JOB, Kind.NOT_READY, Kind.TOO_MANY_REQUESTS, Kind.BUSY),
        },
    )
    async def photos_zip(job_id: _JobId, format: _Format = OutputFormat.SAME) -> StreamingResponse:
        """Return all photos that are done, at their full size; what was left out stands in left-out.txt."""
        job = jobs.get(job_id)
        if not any(photo.state is State.DONE for photo in job.photos.values()):
            raise Problem(Kind.NOT_READY)
        return _zip_response(_paintings(job, studio, format.client_format()))

    @router.post(
        "/api/session",
        status_code=204,
        tags=["operation"],
        summary="Trade the access token for a cookie",
        responses=documented(Kind.UNAUTHORIZED, Kind.CROSS_SITE, Kind.TOO_MANY_REQUESTS, Kind.BUSY),
    )
    async def session(request: Request, response: Response) -> None:
        """Give a page that was told the token a cookie, for pictures and downloads; no script can read it."""
        if settings.access_token is not None:
            response.set_cookie(
                COOKIE,
                session_cookie(settings.access_token),
                path="/api",
                httponly=True,
                samesite="strict",
                secure=request.url.scheme == "https",
            )

    @router.get(
        "/api/about",
        tags=["operation"],
        summary="Model and limits",
        response_model=AboutDocument,
        responses=documented(Kind.UNAUTHORIZED),
    )
    async def about() -> dict[str, Any]:
        """Return what the page needs to know."""
        try:
            model = (await studio.model()).recipe
        except Problem:
            model = None
        return {
            "model": model,
            "limits": {
                "photo_bytes": limits.photo_bytes,
                "pixels": limits.pixels,
                "photos": limits.photos,
                "variants": limits.variants,
            },
            "formats": list(results.MEDIA_TYPES.values()),
            "keep_seconds": settings.keep_seconds,
            "keep_after_download_seconds": settings.keep_after_download_seconds,
        }

    @router.get("/healthz", tags=["operation"], summary="Is the gateway alive?", response_model=StatusDocument)
    async def healthz() -> dict[str, str]:
        """Answer at once, whatever else goes on."""
        return {"status": "ok"}

    @router.get(
        "/readyz",
        tags=["operation"],
        summary="Can photos be coloured?",
        response_model=StatusDocument,
        responses=documented(Kind.SERVER_AWAY),
    )
    async def readyz() -> dict[str, str]:
        """Answer with a problem while the model server is away."""
        await studio.model()
        return {"status": "ok"}

    @router.get(
        "/metrics",
        tags=["operation"],
        summary="Figures for Prometheus",
        response_class=Response,
        responses={
            200: {
                "description": "Prometheus' text format.",
                "content": {prometheus.CONTENT_TYPE.partition(";")[0]: {}},
            },
            **documented(Kind.UNAUTHORIZED),
        },
    )
    async def show_metrics() -> Response:
        """Return the counters."""
        return Response(metrics.exposition(), media_type=prometheus.CONTENT_TYPE)

    return router


async def _paintings(job: Job, studio: Studio, format: str | None) -> AsyncIterator[results.Result]:
    painted, left_out = [], []
    with job.in_use():
        for number, photo in list(job.photos.items()):
            try:
                job.done_photo(number)
                data = await studio.paint(
                    photo.file,
                    photo.variant,
                    pixels=photo.pixels,
                    strength=photo.strength,
                    format=format,
                    longest_side=None,
                )
            except Problem as problem:
                left_out.append(f"{photo.name}: {problem.detail}\n")
                continue
            yield results.Result(results.result_name(photo.name, format or photo.format or "JPEG"), data)
            painted.append(number)
        if left_out:
            yield results.Result("left-out.txt", "".join(left_out).encode("utf-8", "replace"))
    job.note_download(*painted)


def _zip_response(paintings: AsyncIterator[results.Result]) -> StreamingResponse:
    return StreamingResponse(
        results.zipped(paintings),
        media_type="application/zip",
        headers={"Content-Disposition": results.attachment("coloured.zip"), "X-Accel-Buffering": "no"},
    )


def _check_variant(variant: int, count: int) -> None:
    if variant >= count:
        raise Problem(Kind.WRONG_REQUEST, f"Expected a variant of 0..{count - 1}, received {variant}")
