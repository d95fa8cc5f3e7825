"""Jobs: photographs that are coloured while their sender does something else, and deleted after a while."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from enum import StrEnum
from typing import Any

from photo.coloring_options import ColoringOptions, ColorPhotos
from photo.decoding import PhotoHeader
from photo.formats import PhotoFormat
from photo.hints import Hint
from photo.pages import PagePlan
from photo.palette import AS_FOUND
from photo.provenance import Provenance
from serving.web.bounded_colorizer import BoundedColorizer
from serving.web.metrics import Metrics
from serving.web.page_reading import RESULT_FORMATS
from serving.web.problems import Kind, Problem, problem_from
from serving.web.settings import WebSettings
from serving.web.uploads import Upload

# Photographs of one job that take part in the queue at a time: a large job leaves room for the others.
_AT_ONCE_PER_JOB = 2


class PhotoState(StrEnum):
    """Where a photograph is on its way."""

    WAITING = "waiting"
    COLORING = "colouring"
    DONE = "done"
    FAILED = "failed"


class JobPhoto:
    """One photograph of a job; see `document` for what it tells."""

    def __init__(self, number: int, upload: Upload, color_photos: ColorPhotos):
        self.number = number
        self.name = upload.name
        self.file = upload.file
        self.state = PhotoState.WAITING if upload.problem is None else PhotoState.FAILED
        self.problem = self.upload_problem = upload.problem
        self.format: PhotoFormat | None = None
        self.width: int | None = None
        self.height: int | None = None
        self.pages = range(0)
        self.pixels = 0
        self.in_color = False
        self.color_photos = color_photos
        self.variants = 0
        self.variant = 0
        self.palette = AS_FOUND
        self.notes: dict[PhotoFormat, tuple[str, ...]] = {}
        self.hints = upload.hints
        self.provenance = Provenance()
        self.is_downloaded = False

    def document(self) -> dict[str, Any]:
        """Return what the API tells of it."""
        return {
            "number": self.number,
            "name": self.name,
            "state": self.state.value,
            "format": self.format and self.format.lower(),
            "width": self.width,
            "height": self.height,
            "variants": self.variants,
            "variant": self.variant,
            **asdict(self.palette),
            "pages": len(self.pages),
            "in_color": self.in_color,
            "color_photos": self.color_photos.value,
            "notes": [] if self.format is None else list(self.notes.get(self.format, ())),
            "notes_by_format": {format.lower(): list(self.notes.get(format, ())) for format in RESULT_FORMATS},
            "hints": [hint.document() for hint in self.hints],
            "problem": self.problem and self.problem.document(),
        }


class Job:
    """Photographs sent together: has them coloured, and knows when its time is over. `Jobs` makes them.

    Args:
        variants: colourings wanted of each photograph.
        options: at which sides the model is asked, which page is wanted, what is done with photographs in colour.
        colorizer: colours them.
        settings: limits and times.
        metrics: counts.
        is_stopping: says whether the gateway ends, so that nobody follows the job any longer.

    Attributes:
        id: cannot be guessed; who knows it may see the photographs.
        photos: by their number.
        further_jobs: with the photographs of an archive that are too many for this one.
    """

    def __init__(
        self,
        variants: int,
        options: ColoringOptions,
        colorizer: BoundedColorizer,
        settings: WebSettings,
        metrics: Metrics,
        is_stopping: Callable[[], bool],
    ):
        self._is_stopping = is_stopping
        self.id = secrets.token_urlsafe(24)
        self.photos: dict[int, JobPhoto] = {}
        self.further_jobs: list[str] = []
        self._variants = variants
        self._options = options
        self._colorizer = colorizer
        self._settings = settings
        self._metrics = metrics
        self._is_deleted = False
        self._next_number = 0
        self._places = asyncio.Semaphore(_AT_ONCE_PER_JOB)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._keep_seconds = settings.keep_seconds
        self._users = 0
        self._leaving_seconds: float | None = None
        self._expires = 0.0
        self.keep_on()

    def photo(self, number: int) -> JobPhoto:
        """Return one of the photographs; raises Problem (`not-found`)."""
        if number not in self.photos:
            raise Problem(Kind.NOT_FOUND, "The job has no such photo")
        return self.photos[number]

    def done_photo(self, number: int) -> JobPhoto:
        """Return a photograph that is coloured; raises Problem (`not-found`, `not-ready`, or why it failed)."""
        photo = self.photo(number)
        if photo.state is PhotoState.FAILED and photo.problem is not None:
            raise photo.problem
        if photo.state is not PhotoState.DONE:
            raise Problem(Kind.NOT_READY)
        return photo

    def document(self) -> dict[str, Any]:
        """Return what the API tells of it."""
        return {
            "id": self.id,
            "state": "working" if self._is_working() else "done",
            "expires_in": max(0, round(self._expires - asyncio.get_running_loop().time())),
            "further_jobs": self.further_jobs,
            "photos": [photo.document() for photo in self.photos.values()],
        }

    async def documents(self, patience: float) -> AsyncIterator[dict[str, Any] | None]:
        """Yield the document now and after every change, until all photographs are done or failed.

        None comes whenever nothing has changed for `patience` seconds.
        """
        with self.in_use():
            while not (self._is_deleted or self._is_stopping()):
                changed = self._changed
                yield self.document()
                if not self._is_working():
                    return
                while not changed.is_set():
                    try:
                        async with asyncio.timeout(patience):
                            await changed.wait()
                    except TimeoutError:
                        yield None

    def extend(self, uploads: list[Upload], color_photos: ColorPhotos | None = None) -> None:
        """Add photographs, which are taken over; raises Problem (`too-many-photos`, `not-found`).

        Args:
            uploads: the photographs.
            color_photos: what is done with those that have colour already; None: as with the job's others.
        """
        if self._is_deleted:
            raise Problem(Kind.NOT_FOUND, "The job has been deleted")
        if len(self.photos) + len(uploads) > (most := self._settings.limits.photos):
            raise Problem(Kind.TOO_MANY_PHOTOS, f"A job has at most {most}")
        self._keep_seconds = self._settings.keep_seconds
        self.keep_on()
        while uploads:
            photo = self.photos[self._next_number] = JobPhoto(
                self._next_number, uploads.pop(0), color_photos or self._options.color_photos
            )
            self._next_number += 1
            if photo.state is PhotoState.WAITING:
                self._start(photo)
            else:
                self._metrics.photos.labels("failed").inc()
        self.note_change()

    def retry(self) -> None:
        """Colour again what failed for a reason that may have passed."""
        for photo in self.photos.values():
            if photo.state is PhotoState.FAILED and photo.problem is not None and photo.problem.retryable:
                photo.state, photo.problem = PhotoState.WAITING, None
                self._start(photo)
        self.note_change()

    @property
    def page(self) -> int | None:
        """The page that is wanted of every photograph, from 1; None for all."""
        return self._options.page

    def color_again(
        self, number: int, *, hints: tuple[Hint, ...] | None = None, color_photos: ColorPhotos | None = None
    ) -> JobPhoto:
        """Colour a photograph again.

        Args:
            number: of the photograph.
            hints: in place of those it had; None leaves them.
            color_photos: whether its own colours are replaced; None leaves that as it was.

        Raises:
            Problem: `not-found`, or why there is nothing to colour.
        """
        photo = self.photo(number)
        if photo.upload_problem is not None:
            raise photo.upload_problem
        if number in self._tasks:
            self._tasks.pop(number).cancel()
        photo.hints = photo.hints if hints is None else hints
        photo.color_photos = color_photos or photo.color_photos
        photo.state, photo.problem, photo.is_downloaded = PhotoState.WAITING, None, False
        self._keep_seconds = self._settings.keep_seconds
        self._start(photo)
        self.note_change()
        return photo

    def delete_photo(self, number: int) -> None:
        """Delete one photograph; raises Problem (`not-found`)."""
        photo = self.photo(number)
        del self.photos[number]
        if number in self._tasks:
            self._tasks.pop(number).cancel()
        photo.file.close()
        self.note_change()

    def delete(self) -> None:
        """Delete all photographs, and take no more."""
        self._is_deleted = True
        for number in list(self.photos):
            self.delete_photo(number)
        self.note_change()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the job from expiring while the block runs; its time begins anew after it."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self.keep_on()

    def keep_on(self) -> None:
        """Let its time begin anew."""
        left = self._keep_seconds if self._leaving_seconds is None else min(self._keep_seconds, self._leaving_seconds)
        self._expires = asyncio.get_running_loop().time() + left

    def note_leaving(self, seconds: float) -> None:
        """Let it go so soon, because its sender has left; unless `come_back` is called before."""
        self._leaving_seconds = seconds
        self.keep_on()

    def come_back(self) -> None:
        """Let its time begin anew because somebody asks for it."""
        self._leaving_seconds = None
        self.keep_on()

    def has_expired(self) -> bool:
        """Return whether its time has passed and nobody uses it."""
        is_late = asyncio.get_running_loop().time() >= self._expires
        return is_late and self._users == 0 and not self._is_working()

    def note_download(self, *numbers: int) -> None:
        """Note that full-size results were sent; once all were, the job stays for a shorter time."""
        for number in numbers:
            if number in self.photos:
                self.photos[number].is_downloaded = True
        if all(photo.is_downloaded or photo.state is PhotoState.FAILED for photo in self.photos.values()):
            self._keep_seconds = min(self._keep_seconds, self._settings.keep_after_download_seconds)
            self.keep_on()

    def note_problem(self, number: int, problem: Problem) -> None:
        """Let a photograph that was coloured, but cannot be written, be a failed one."""
        photo = self.photos.get(number)
        if problem.kind is Kind.INTERNAL and photo is not None and photo.state is PhotoState.DONE:
            photo.state, photo.problem = PhotoState.FAILED, problem
            self._metrics.photos.labels(photo.state.value).inc()
            self.note_change()

    def note_change(self) -> None:
        """Wake who follows the job."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _is_working(self) -> bool:
        return any(photo.state in (PhotoState.WAITING, PhotoState.COLORING) for photo in self.photos.values())

    def _start(self, photo: JobPhoto) -> None:
        task = asyncio.create_task(self._color(photo))
        self._tasks[photo.number] = task
        task.add_done_callback(
            lambda ended: self._tasks.pop(photo.number) if self._tasks.get(photo.number) is ended else None
        )

    async def _color(self, photo: JobPhoto) -> None:
        def begin(header: PhotoHeader, plan: PagePlan) -> None:
            photo.state, photo.format = PhotoState.COLORING, header.format.written_as
            photo.pages = plan.pages
            photo.pixels = header.pixels_of_pages if len(plan.pages) > 1 else header.width * header.height
            self.note_change()

        options = replace(self._options, color_photos=photo.color_photos)
        try:
            async with self._places:
                found = await self._colorizer.find_colors(photo.file, self._variants, options, begin, hints=photo.hints)
            photo.variants, photo.provenance, photo.in_color, photo.notes, photo.width, photo.height = found
            photo.state, photo.variant = PhotoState.DONE, min(photo.variant, photo.variants - 1)
        except Problem as problem:
            photo.state, photo.problem = PhotoState.FAILED, problem
            photo.in_color = photo.in_color or problem.kind is Kind.IN_COLOR
            photo.notes = {}
        except Exception as error:
            photo.state, photo.problem = PhotoState.FAILED, problem_from(error)
        self._metrics.photos.labels(photo.state.value).inc()
        self.keep_on()
        self.note_change()


class Jobs:
    """All jobs: begins them, finds them by their id, deletes them in time.

    Args:
        colorizer: colours.
        settings: limits and times.
        metrics: counts.
    """

    def __init__(self, colorizer: BoundedColorizer, settings: WebSettings, metrics: Metrics):
        self._colorizer = colorizer
        self._settings = settings
        self._metrics = metrics
        self._jobs: dict[str, Job] = {}
        self._is_stopping = False
        self._expiry: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._jobs)

    async def open(self) -> None:
        """Begin to look for jobs whose time is over."""
        self._expiry = asyncio.create_task(self._delete_expired())

    def stop_following(self) -> None:
        """End the streams of events, which would else keep a gateway that is stopping."""
        self._is_stopping = True
        for job in self._jobs.values():
            job.note_change()

    async def close(self) -> None:
        """Delete all."""
        if self._expiry is not None:
            self._expiry.cancel()
        for job_id in list(self._jobs):
            self.delete(job_id)

    def get(self, job_id: str) -> Job:
        """Return a job; its time begins anew. Raises Problem (`not-found`)."""
        job = self._jobs.get(job_id)
        if job is None:
            raise Problem(Kind.NOT_FOUND, "There is no such job, or it has been deleted")
        job.come_back()
        return job

    def create(self, uploads: list[Upload], variants: int, options: ColoringOptions) -> Job:
        """Begin a job with the photographs, which are taken over; what is too much for one goes into further jobs.

        Raises:
            Problem: `busy`.
        """
        most = self._settings.limits.photos
        count = -(-len(uploads) // most)
        if len(self._jobs) + count > self._settings.limits.jobs:
            raise Problem(Kind.BUSY, "There are too many jobs")
        jobs = [self._new_job(variants, options) for _ in range(count)]
        for job in jobs:
            self._jobs[job.id] = job
            job.extend([uploads.pop(0) for _ in range(min(most, len(uploads)))])
        jobs[0].further_jobs = [job.id for job in jobs[1:]]
        return jobs[0]

    def _new_job(self, variants: int, options: ColoringOptions) -> Job:
        is_stopping = lambda: self._is_stopping  # noqa: E731
        return Job(variants, options, self._colorizer, self._settings, self._metrics, is_stopping)

    def delete(self, job_id: str) -> None:
        """Delete a job and its photographs; raises Problem (`not-found`)."""
        self.get(job_id).delete()
        del self._jobs[job_id]

    async def _delete_expired(self) -> None:
        while True:
            await asyncio.sleep(self._settings.expiry_check_seconds)
            for job in [job for job in self._jobs.values() if job.has_expired()]:
                self.delete(job.id)
