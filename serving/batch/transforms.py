"""Beam transforms that read, colour and write photographs, for pipelines of your own; the batch job is made of them.

    with beam.Pipeline() as pipeline:
        handler = SavedModelHandler("models/colorizer")
        read = pipeline | ReadPhotos(["scans/**/*.jpg"])
        colored = read.photos | ColorizePhotos(handler)
        written = colored.photos | WritePhotos("out")
        (read.outcomes, colored.outcomes, written) | beam.Flatten() | beam.Map(print)

What is shuffled between workers is small: where photographs lie, and what became of them. From its first byte to its
colouring's last a photograph stays in one worker, because Beam fuses these transforms as long as nothing that groups
or reshuffles comes between them.
"""

import hashlib
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystems import FileSystems
from apache_beam.ml.inference.base import PredictionResult, RunInference
from apache_beam.pvalue import TaggedOutput

from photo.archives import FileEntry, read_blocks
from photo.coloring import Prepared, finish, prepare
from photo.decoding import MAX_PIXELS, decode_photo
from photo.encoding import encode_photo
from photo.errors import PhotoError, TintypeError
from serving.batch.file_systems import file_reader, is_local, open_file
from serving.batch.inputs import find_photos, shown_path
from serving.batch.models import ColorHandler, Colors
from serving.batch.outcomes import DONE, SKIPPED, Outcome, failed
from serving.batch.outputs import OWN_FOLDER, BatchStopped, OutputSettings, join, size_of, told_apart, write_file
from serving.freed_memory import keep_freed_memory

# An object cannot be added to: there, a worker writes its records so often, and what a kill leaves without one is
# coloured again.
_RECORD_SECONDS = 5.0
_RECORDS_AT_ONCE = 500

# Every photograph frees, and the next one takes, arrays of its full size: up to 20 megapixels they are kept.
_LARGEST_BLOCK = 256 * 2**20

# In CIE units of a*b*: a hundredth of an 8-bit step.
_FAINTEST_TINT = 0.001

_OUTCOMES = "outcomes"


class Task(NamedTuple):
    """A photograph to colour: where it lies, where its colouring goes, and what an earlier run says of that.

    Attributes:
        entry: the file.
        output: name of the colouring below the output.
        key: as in `Outcome`.
        record: of an earlier run, JSON; "" where there is none. Of a photograph that was read: "" unless its output is
            as wanted should the photograph have no tint to keep.
    """

    entry: FileEntry
    output: str
    key: str
    record: str


@dataclass(frozen=True)
class PhotoFile:
    """A photograph as it was read.

    Attributes:
        task: where it came from and goes.
        data: the file's bytes.
        sha256: of them, hexadecimal.
        seconds: that were spent on it so far.
    """

    task: Task
    data: bytes
    sha256: str
    seconds: float


@dataclass(frozen=True)
class PreparedPhoto:
    """A photograph on its way through the network; its own pixels are dropped, only its lightness is kept.

    Attributes:
        file: as it was read, with `data` left out.
        input_bytes: size of its file.
        prepared: its lightness, and the square for the network.
        exif: as in `Photo`.
        icc: as in `Photo`.
        dpi: as in `Photo`.
        seconds: that were spent on it so far.
    """

    file: PhotoFile
    input_bytes: int
    prepared: Prepared
    exif: bytes | None
    icc: bytes | None
    dpi: tuple[float, float] | None
    seconds: float


@dataclass(frozen=True)
class ColoredPhoto:
    """A photograph and the colour that the network found.

    Attributes:
        photo: its lightness and metadata.
        ab: a*b* of the square, float32 [S, S, 2].
        model_version: of the model that coloured it.
        model_fingerprint: of the model that coloured it.
    """

    photo: PreparedPhoto
    ab: Any
    model_version: str
    model_fingerprint: str


class Photos(NamedTuple):
    """What a transform gives on: photographs that it could use, and outcomes of the others."""

    photos: beam.PCollection
    outcomes: beam.PCollection


@dataclass(frozen=True)
class Resume:
    """What tells a done photograph from one to do.

    Attributes:
        output: where an earlier run may have written.
        handler: gives the fingerprint that a record must bear.
    """

    output: str
    handler: ColorHandler


class ReadPhotos(beam.PTransform):
    """Finds photographs and reads them: gives `Photos` of `PhotoFile`.

    Args:
        inputs: folders, globs, archives, lists, photographs, as `find_photos` takes them.
        settings: name the outputs.
        output: where they go; what lies there is not read. Without one, nothing is passed over.
        root: as for `find_photos`.
        resume: pass over what was done by an earlier run: the same content, model and settings, and the output is
            there with its size. None reads everything.
        counter: sees every photograph that was found, and passes it on.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        *,
        settings: OutputSettings = OutputSettings(),  # noqa: B008 - frozen
        output: str = "",
        root: str | None = None,
        resume: Resume | None = None,
        counter: beam.DoFn | None = None,
    ):
        super().__init__()
        self._inputs = list(inputs)
        self._settings = settings
        self._output = output
        self._root = root
        self._resume = resume
        self._counter = counter

    def expand(self, pipeline: Any):
        """Build the graph; returns `Photos` (not annotated so, because Beam takes annotations for element types)."""
        found = (
            pipeline
            | "Inputs" >> beam.Create(self._inputs)
            | "Find" >> beam.ParDo(_Find(self._output, self._root)).with_outputs(_OUTCOMES, main="entries")
        )
        entries = found.entries if self._counter is None else found.entries | "Count" >> beam.ParDo(self._counter)
        records = pipeline | "RecordsFolder" >> beam.Create([self._resume.output] if self._resume else [])
        tasks = (
            {
                "entries": entries | "KeyByName" >> beam.ParDo(_KeyByName(self._settings)),
                "records": records | "ReadRecords" >> beam.ParDo(_ReadRecords()),
            }
            | "JoinRecords" >> beam.CoGroupByKey()
            | "Name" >> beam.ParDo(_Name(self._settings))
        )
        # Nothing may come between the grouping and the reading: the join has spread the photographs over the workers.
        read = tasks | "Read" >> beam.ParDo(_Read(self._settings, self._resume)).with_outputs(_OUTCOMES, main="photos")
        outcomes = (found[_OUTCOMES], read[_OUTCOMES]) | "Outcomes" >> beam.Flatten()
        return Photos(read.photos, outcomes)


class ColorizePhotos(beam.PTransform):
    """Decodes photographs and finds their colour with Beam's RunInference: `PhotoFile` to `Photos` of `ColoredPhoto`.

    Args:
        handler: a `SavedModelHandler` or `ServerHandler`.
        max_pixels: larger photographs are left out.
        keep_tint: lay the tint of a toned or yellowed photograph over its colour; the `OutputSettings` of what reads
            and writes must say the same.
    """

    def __init__(self, handler: ColorHandler, *, max_pixels: int = MAX_PIXELS, keep_tint: bool = False):
        super().__init__()
        self._handler = handler
        self._max_pixels = max_pixels
        self._keep_tint = keep_tint

    def expand(self, photos: beam.PCollection):
        """Build the graph; returns `Photos`."""
        prepare_each = _Prepare(self._handler, self._max_pixels, self._keep_tint)
        prepared = photos | "Prepare" >> beam.ParDo(prepare_each).with_outputs(_OUTCOMES, main="prepared")
        answered = (
            prepared.prepared
            | "Infer" >> RunInference(self._handler)
            | "Answer" >> beam.ParDo(_Answer(self._handler)).with_outputs(_OUTCOMES, main="colored")
        )
        outcomes = (prepared[_OUTCOMES], answered[_OUTCOMES]) | "Outcomes" >> beam.Flatten()
        return Photos(answered.colored, outcomes)


class WritePhotos(beam.PTransform):
    """Encodes and writes photographs at their full size: `ColoredPhoto` to `Outcome`.

    A file appears whole or not at all. Beside the files a record of each is kept, which `Resume` looks for.

    Args:
        output: a folder, of this machine or of a Beam filesystem.
        settings: format, quality and strength of the colour, and whether a tint was to be kept.
    """

    def __init__(self, output: str, *, settings: OutputSettings = OutputSettings()):  # noqa: B008 - frozen
        super().__init__()
        self._output = output
        self._settings = settings

    def expand(self, colored: beam.PCollection) -> beam.PCollection:
        """Build the graph."""
        return colored | "Write" >> beam.ParDo(_Write(self._output, self._settings))


def records_folder(output: str) -> str:
    """Return where the records of what was done lie."""
    return join(output, f"{OWN_FOLDER}/records")


def read_records(output: str) -> Iterator[Outcome]:
    """Yield every record that runs into this output have left; of one photograph there may be several."""
    folder = records_folder(output)
    for file in FileSystems.match([join(folder, "*.jsonl")])[0].metadata_list:
        with open_file(file.path) as lines:
            for line in lines:
                record = Outcome.from_json(line.decode("utf-8", "replace"))
                if record is not None:
                    yield record


class _Find(beam.DoFn):
    def __init__(self, output: str, root: str | None):
        self._output = output
        self._root = root

    def process(self, location: str) -> Iterator[Any]:
        for found in find_photos(location, output=self._output, root=self._root):
            yield TaggedOutput(_OUTCOMES, found) if isinstance(found, Outcome) else found


class _KeyByName(beam.DoFn):
    """FileEntry -> (name of its output in lower case, FileEntry): some filesystems take A.jpg and a.jpg for one."""

    def __init__(self, settings: OutputSettings):
        self._settings = settings

    def process(self, entry: FileEntry) -> Iterator[tuple[str, FileEntry]]:
        yield self._settings.output_name(entry.name).casefold(), entry


class _ReadRecords(beam.DoFn):
    def process(self, output: str) -> Iterator[tuple[str, str]]:
        for record in read_records(output):
            yield record.key, record.to_json()


class _Name(beam.DoFn):
    """(key, entries and records) -> tasks; photographs of one name are told apart, the same one stays single."""

    def __init__(self, settings: OutputSettings):
        self._settings = settings

    def process(self, group: tuple[str, dict[str, Iterable[Any]]]) -> Iterator[Task]:
        key, found = group
        entries = sorted(set(found["entries"]))
        if not entries:
            return
        records = self._newest(found["records"])
        for number, entry in enumerate(entries):
            output = self._settings.output_name(entry.name)
            if number:
                output = told_apart(output, shown_path(entry))
            yield Task(entry, output, key, records.get(output, ""))

    def _newest(self, lines: Iterable[str]) -> dict[str, str]:
        newest: dict[str, Outcome] = {}
        for line in lines:
            record = Outcome.from_json(line)
            if record and (record.output not in newest or record.finished > newest[record.output].finished):
                newest[record.output] = record
        return {output: record.to_json() for output, record in newest.items()}


class _Read(beam.DoFn):
    """Task -> PhotoFile; or an outcome, when it was done before or cannot be read."""

    def __init__(self, settings: OutputSettings, resume: Resume | None):
        self._settings = settings
        self._resume = resume

    def setup(self) -> None:
        self._reader = file_reader(any_order=True)

    def teardown(self) -> None:
        self._reader.close()

    def process(self, task: Task) -> Iterator[Any]:
        started = time.perf_counter()
        try:
            with self._reader.open(task.entry) as stream:
                data = b"".join(read_blocks(stream))
        except PhotoError as error:
            yield TaggedOutput(_OUTCOMES, failed(shown_path(task.entry), error.reason, error.detail))
            return
        sha256 = hashlib.sha256(data).hexdigest()
        record = Outcome.from_json(task.record) if task.record else None
        if record is None or not self._is_of(record, task, sha256):
            task = task._replace(record="")
        elif record.settings in self._settings.digests_as_good(task.output):
            yield TaggedOutput(_OUTCOMES, _skipped(record, task))
            return
        yield PhotoFile(task, data, sha256, time.perf_counter() - started)

    def _is_of(self, record: Outcome, task: Task, sha256: str) -> bool:
        """Return whether what is recorded lies there, of this content and with these settings, but for a tint."""
        name = task.output
        return (
            self._resume is not None
            and record.input_sha256 == sha256
            and record.settings in self._settings.digests_as_good(name) | {self._settings.digest(name)}
            and record.output_bytes == size_of(join(self._resume.output, name))
            and record.model_fingerprint == self._resume.handler.identity().fingerprint
        )


class _Prepare(beam.DoFn):
    """PhotoFile -> PreparedPhoto, or an outcome when it is no photograph, or needs no tint laid over what was done."""

    def __init__(self, handler: ColorHandler, max_pixels: int, keep_tint: bool):
        self._handler = handler
        self._max_pixels = max_pixels
        self._keep_tint = keep_tint

    def setup(self) -> None:
        import cv2

        # A worker process for every core is the plan; OpenCV would take all cores in each.
        cv2.setNumThreads(1)
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        keep_freed_memory(_LARGEST_BLOCK, _LARGEST_BLOCK)

    def process(self, file: PhotoFile) -> Iterator[Any]:
        started = time.perf_counter()
        try:
            photo = decode_photo(file.data, max_pixels=self._max_pixels)
            prepared = prepare(photo.rgb, self._handler.identity().size, keep_tint=self._keep_tint)
        except PhotoError as error:
            yield TaggedOutput(_OUTCOMES, failed(shown_path(file.task.entry), error.reason, error.detail))
            return
        except MemoryError:
            yield TaggedOutput(_OUTCOMES, _too_large(file.task))
            return
        record = Outcome.from_json(file.task.record) if file.task.record else None
        if record is not None and not _has_tint(prepared):
            yield TaggedOutput(_OUTCOMES, _skipped(record, file.task))
            return
        seconds = file.seconds + time.perf_counter() - started
        without_data = PhotoFile(file.task, b"", file.sha256, 0.0)
        input_bytes = len(file.data)
        exif, icc, dpi = photo.exif, photo.icc, photo.dpi
        del file, photo  # the next steps run inside this yield
        yield PreparedPhoto(without_data, input_bytes, prepared, exif, icc, dpi, seconds)


class _Answer(beam.DoFn):
    """PredictionResult -> ColoredPhoto, or an outcome when the model refused the photograph."""

    def __init__(self, handler: ColorHandler):
        self._handler = handler

    def process(self, prediction: PredictionResult) -> Iterator[Any]:
        photo, answer = prediction.example, prediction.inference
        if not isinstance(answer, Colors):
            yield TaggedOutput(_OUTCOMES, failed(shown_path(photo.file.task.entry), "refused", str(answer)))
            return
        identity = self._handler.identity()
        photo = replace(photo, seconds=photo.seconds + answer.seconds)
        yield ColoredPhoto(photo, answer.ab, identity.version, identity.fingerprint)


class _Write(beam.DoFn):
    """ColoredPhoto -> Outcome; the file is written, and from time to time the records."""

    def __init__(self, output: str, settings: OutputSettings):
        self._output = output
        self._settings = settings

    def start_bundle(self) -> None:
        self._records = _Records(self._output)

    def process(self, colored: ColoredPhoto) -> Iterator[Outcome]:
        started = time.perf_counter()
        photo, task = colored.photo, colored.photo.file.task
        try:
            rgb = finish(photo.prepared, colored.ab, self._settings.strength)
            height, width = rgb.shape[:2]
            encoded = encode_photo(
                rgb,
                self._settings.encoding_of(task.output),
                quality=self._settings.quality,
                exif=photo.exif,
                icc=photo.icc,
                dpi=photo.dpi,
            )
            del rgb
            write_file(join(self._output, task.output), encoded)
        except BatchStopped:
            raise
        except TintypeError as error:
            yield failed(shown_path(task.entry), "unwritable", str(error))
            return
        except MemoryError:
            yield _too_large(task)
            return
        outcome = Outcome(
            shown_path(task.entry),
            DONE,
            output=task.output,
            key=task.key,
            settings=self._settings.digest(task.output, self._tint_of(photo.prepared)),
            width=width,
            height=height,
            input_bytes=photo.input_bytes,
            output_bytes=len(encoded),
            input_sha256=photo.file.sha256,
            output_sha256=hashlib.sha256(encoded).hexdigest(),
            model_version=colored.model_version,
            model_fingerprint=colored.model_fingerprint,
            milliseconds=round(1000 * (photo.seconds + time.perf_counter() - started), 1),
            finished=round(time.time(), 3),
        )
        self._records.add(outcome)
        yield outcome

    def _tint_of(self, prepared: Prepared) -> bool | None:
        return _has_tint(prepared) if self._settings.keep_tint else None

    def finish_bundle(self) -> None:
        self._records.close()


class _Records:
    """The records of one bundle: of this machine's files a line at once, elsewhere a file from time to time."""

    def __init__(self, output: str):
        self._folder = records_folder(output)
        self._name = f"{time.time_ns()}-{uuid.uuid4().hex[:8]}"
        self._file: IO[str] | None = None
        self._waiting: list[str] = []
        self._written = time.monotonic()
        self._number = 0

    def add(self, outcome: Outcome) -> None:
        line = f"{outcome.to_json()}\n"
        if is_local(self._folder):
            if self._file is None:
                os.makedirs(self._folder, exist_ok=True)
                path = join(self._folder, f"{self._name}.jsonl")
                self._file = open(path, "w", encoding="utf-8", errors="surrogateescape", buffering=1)  # noqa: SIM115
            self._file.write(line)
            return
        self._waiting.append(line)
        if len(self._waiting) >= _RECORDS_AT_ONCE or time.monotonic() - self._written > _RECORD_SECONDS:
            self._write()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._waiting:
            self._write()

    def _write(self) -> None:
        data = "".join(self._waiting).encode("utf-8", "surrogateescape")
        write_file(join(self._folder, f"{self._name}-{self._number}.jsonl"), data)
        self._waiting, self._written, self._number = [], time.monotonic(), self._number + 1


def _skipped(record: Outcome, task: Task) -> Outcome:
    return record._replace(status=SKIPPED, path=shown_path(task.entry))


def _has_tint(prepared: Prepared) -> bool:
    """Return whether a tint that shows was measured; a gray photograph's is what rounding left, 0.00001 or so."""
    return prepared.tint is not None and bool(np.abs(prepared.tint.ab).max() > _FAINTEST_TINT)


def _too_large(task: Task) -> Outcome:
    return failed(shown_path(task.entry), "out_of_memory", "its pixels do not fit into this worker's memory")
