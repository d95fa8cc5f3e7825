"""Jobs: photographs that are coloured while their sender does something else, and deleted after a while."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import Any

from serving.web.bounded_colorizer import Studio
from serving.web.metrics import Metrics
from serving.web.problems import Kind, Problem
from serving.web.settings import WebSettings
from serving.web.uploads import Upload

log = logging.getLogger(__name__)

# Photographs of one job that take part in the queue at a time: a large job leaves room for the others.
_AT_ONCE_PER_JOB = 2

_SWEEP_SECONDS = 1.0


class State(StrEnum):
    """Where a photograph is on its way."""

    WAITING = "waiting"
    COLOURING = "colouring"
    DONE = "done"
    FAILED = "failed"


class JobPhoto:
    """One photograph of a job; see `document` for what it tells."""

    def __init__(self, number: int, upload: Upload):
        self.number = number
        self.name = upload.name
        self.file = upload.file
        self.state = State.WAITING if upload.problem is None else State.FAILED
        self.problem = upload.problem
        self.format: str | None = None
        self.width: int | None = None
        self.height: int | None = None
        self.variants = 0
        self.variant = 0
        self.strength = 1.0
        self.is_downloaded = False

    @property
    def pixels(self) -> int:
        """Height times width."""
        return (self.width or 0) * (self.height or 0)

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
            "strength": self.strength,
            "problem": self.problem and self.problem.document(),
        }


class Job:
    """Photographs sent together.

    Attributes:
        id: cannot be guessed; who knows it may see the photographs.
        variants: colourings wanted of each.
        photos: by their number.
    """

    def __init__(self, variants: int, settings: WebSettings):
        self.id = secrets.token_urlsafe(24)
        self.variants = variants
        self.photos: dict[int, JobPhoto] = {}
        self.is_deleted = False
        self._next_number = 0
        self._places = asyncio.Semaphore(_AT_ONCE_PER_JOB)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._settings = settings
        self._keep_seconds = settings.keep_seconds
        self._users = 0
        self._expires = 0.0
        self._touch()

    def photo(self, number: int) -> JobPhoto:
        """Return one of the photographs; raises Problem (`not-found`)."""
        if number not in self.photos:
            raise Problem(Kind.NOT_FOUND, "The job has no such photo")
        return self.photos[number]

    def done_photo(self, number: int) -> JobPhoto:
        """Return a photograph that is coloured; raises Problem (`not-found`, `not-ready`, or why it failed)."""
        photo = self.photo(number)
        if photo.state is State.FAILED and photo.problem is not None:
            raise photo.problem
        if photo.state is not State.DONE:
            raise Problem(Kind.NOT_READY)
        return photo

    def document(self) -> dict[str, Any]:
        """Return what the API tells of it."""
        return {
            "id": self.id,
            "state": "working" if self._is_working() else "done",
            "expires_in": max(0, round(self._expires - asyncio.get_running_loop().time())),
            "photos": [photo.document() for photo in self.photos.values()],
        }

    async def documents(self, patience: float) -> AsyncIterator[dict[str, Any] | None]:
        """Yield the document now and after every change, until all photographs are done or failed.

        None comes whenever nothing has changed for `patience` seconds.
        """
        with self.in_use():
            while not self.is_deleted:
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

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the job from expiring while the block runs; its time begins anew after it."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self._touch()

    def is_over(self, now: float) -> bool:
        """Return whether its time has passed and nobody uses it."""
        return now >= self._expires and self._users == 0 and not self._is_working()

    def note_download(self, *numbers: int) -> None:
        """Note that full-size results were sent; once all were, the job stays for a shorter time."""
        for number in numbers:
            if number in self.photos:
                self.photos[number].is_downloaded = True
        if all(photo.is_downloaded or photo.state is State.FAILED for photo in self.photos.values()):
            self._keep_seconds = min(self._keep_seconds, self._settings.keep_after_download_seconds)
            self._touch()

    def changed(self) -> None:
        """Wake who follows the job."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _add(self, upload: Upload) -> JobPhoto:
        photo = self.photos[self._next_number] = JobPhoto(self._next_number, upload)
        self._next_number += 1
        self._keep_seconds = self._settings.keep_seconds
        self._touch()
        return photo

    def _touch(self) -> None:
        self._expires = asyncio.get_running_loop().time() + self._keep_seconds

    def _is_working(self) -> bool:
        return any(photo.state in (State.WAITING, State.COLOURING) for photo in self.photos.values())


class Jobs:
    """All jobs: takes photographs in, has them coloured, deletes them in time.

    Args:
        studio: colours.
        settings: limits and times.
        metrics: counts.
    """

    def __init__(self, studio: Studio, settings: WebSettings, metrics: Metrics):
        self._studio = studio
        self._settings = settings
        self._metrics = metrics
        self._jobs: dict[str, Job] = {}
        self._sweeper: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._jobs)

    async def open(self) -> None:
        """Begin to look for jobs whose time is over."""
        self._sweeper = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        """Delete all."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for job_id in list(self._jobs):
            self.delete(job_id)

    def get(self, job_id: str) -> Job:
        """Return a job; its time begins anew. Raises Problem (`not-found`)."""
        job = self._jobs.get(job_id)
        if job is None:
            raise Problem(Kind.NOT_FOUND, "There is no such job, or it has been deleted")
        job._touch()
        return job

    def create(self, uploads: list[Upload], variants: int) -> Job:
        """Begin a job with the photographs, which are taken over; raises Problem (`busy`)."""
        if len(self._jobs) >= self._settings.limits.jobs:
            raise Problem(Kind.BUSY, "There are too many jobs")
        job = Job(variants, self._settings)
        self._jobs[job.id] = job
        self.extend(job, uploads)
        return job

    def extend(self, job: Job, uploads: list[Upload]) -> list[JobPhoto]:
        """Add photographs to a job; they are taken over. Raises Problem (`too-many-photos`, `not-found`)."""
        if job.is_deleted:
            raise Problem(Kind.NOT_FOUND, "The job has been deleted")
        if len(job.photos) + len(uploads) > (most := self._settings.limits.photos):
            raise Problem(Kind.TOO_MANY_PHOTOS, f"A job has at most {most}")
        photos = []
        while uploads:
            photo = job._add(uploads.pop(0))
            photos.append(photo)
            if photo.state is State.WAITING:
                self._start(job, photo)
            else:
                self._metrics.photos.labels("failed").inc()
        job.changed()
        return photos

    def retry(self, job: Job) -> None:
        """Colour again what failed for a reason that may have passed."""
        for photo in job.photos.values():
            if photo.state is State.FAILED and photo.problem is not None and photo.problem.retryable:
                photo.state, photo.problem = State.WAITING, None
                self._start(job, photo)
        job.changed()

    def delete(self, job_id: str) -> None:
        """Delete a job and its photographs; raises Problem (`not-found`)."""
        job = self.get(job_id)
        del self._jobs[job_id]
        job.is_deleted = True
        for number in list(job.photos):
            self.delete_photo(job, number)
        job.changed()

    def delete_photo(self, job: Job, number: int) -> None:
        """Delete one photograph; raises Problem (`not-found`)."""
        photo = job.photo(number)
        del job.photos[number]
        if number in job._tasks:
            job._tasks.pop(number).cancel()
        photo.file.close()
        job.changed()

    def _start(self, job: Job, photo: JobPhoto) -> None:
        task = asyncio.create_task(self._color(job, photo))
        job._tasks[photo.number] = task
        task.add_done_callback(
            lambda ended: job._tasks.pop(photo.number) if job._tasks.get(photo.number) is ended else None
        )

    async def _color(self, job: Job, photo: JobPhoto) -> None:
        def at_work(format: str, width: int, height: int) -> None:
            photo.state, photo.format, photo.width, photo.height = State.COLOURING, format, width, height
            job.changed()

        try:
            async with job._places:
                ab = await self._studio.find_colors(photo.file, job.variants, at_work)
                await photo.file.write_colors(ab)
            photo.state, photo.variants, photo.variant = State.DONE, len(ab), min(photo.variant, len(ab) - 1)
        except Problem as problem:
            photo.state, photo.problem = State.FAILED, problem
        except Exception:
            log.exception("colouring a photo failed")
            photo.state, photo.problem = State.FAILED, Problem(Kind.INTERNAL)
        self._metrics.photos.labels(photo.state.value).inc()
        job._touch()
        job.changed()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = asyncio.get_running_loop().time()
            for job in [job for job in self._jobs.values() if job.is_over(now)]:
                with suppress(Problem):
                    self.delete(job.id)
