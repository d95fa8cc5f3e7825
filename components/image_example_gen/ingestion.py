"""Takes photographs in: lists, hashes, judges and stores them as tf.train.Examples, with a report of what was left out.

The photographs are read twice, once to be hashed and once to be stored, and pixels never pass a shuffle: between the
two only names and hashes do. So a worker holds one photograph at a time, however many there are, and of files with the
same content the first name wins, on every runner.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics.metric import Metrics
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms import combiners

from components.image_example_gen.config import DataConfig, Splits
from components.image_example_gen.listing import check_locations, list_source
from components.image_example_gen.locations import describe_locations, sources
from components.image_example_gen.photo_example import photo_example, split_of
from components.image_example_gen.source import read_source, source_of, write_source
from components.image_example_gen.summary import SUMMARY_NAME, IngestionSummary, read_summary
from photo.archives import FileEntry, FileReader, TarMember, read_blocks
from photo.errors import DataError, PhotoError, fault_of_photo
from photo.finding import DAMAGED, LOCKED, NESTED, OTHER_FILES, UNLISTABLE
from photo.whole_file import whole_folder
from serving.batch.file_systems import file_reader
from serving.batch.local_runner import local_options

SPLITS = tuple(Splits.model_fields)
METRICS_NAMESPACE = "image_example_gen"
REPORT_NAME = "report.jsonl"
RECORDS_NAME = "data_tfrecord"

# What counts against `max_unreadable_share`. A photograph that is merely gray or small can be read.
UNREADABLE = frozenset({"empty", "not_an_image", "truncated", "unreadable"})
# An archive or folder that cannot be listed: unlike one broken photograph it hides any number of good ones.
DAMAGED_SOURCE = "damaged_source"
_DAMAGED = frozenset({DAMAGED, UNLISTABLE})
# Lines of the report that stand for no photograph, or for none that was looked at.
_NOT_READ = frozenset({DAMAGED_SOURCE, LOCKED, NESTED, OTHER_FILES})
_EXAMPLES_OF_UNREADABLE = 10


class IngestionOutcome(NamedTuple):
    """What became of one file: stored in `split`, or left out with a `reason` (the other is "")."""

    name: str
    split: str
    reason: str
    detail: str


def ingest(location: str, folder: Path, config: DataConfig, *, workers: int = 1) -> IngestionSummary:
    """Take photographs in on this machine, without TFX; a folder that already holds them is used again.

    The folder appears whole or not at all: a run that is stopped or refused leaves what stood there before. One run at
    a time may write it.

    Args:
        location: a folder, .zip or .tar, local or of a filesystem that Beam knows; several, a line each.
        folder: local; gets what `IngestPhotos` writes, and `source.SOURCE_NAME`.
        config: sizes, thresholds and shares of the splits.
        workers: processes that Beam may use; 1 stays in this process, 0 takes one for every core.

    Raises:
        DataError: when there are no photographs, an archive is damaged, none could be kept, or more than
            `max_unreadable_share` of the files are unreadable; the message names the first ones.
    """
    check_locations(location)
    source = source_of(location, config)
    if read_source(folder) == source:
        return read_summary(str(folder))

    with whole_folder(folder) as temporary:
        with beam.Pipeline(options=PipelineOptions(local_options(workers))) as pipeline:
            pipeline | "IngestPhotos" >> IngestPhotos(location, str(temporary), config)
        summary = read_summary(str(temporary))
        check_summary(summary, location, config)
        write_source(temporary, source)
    return summary


def check_summary(summary: IngestionSummary, location: str, config: DataConfig) -> None:
    """Raise a DataError when what was taken in is not fit to go on with."""
    location = describe_locations(location)
    first = "".join(f"\n  {line['path']}: {line['reason']}: {line['detail']}" for line in summary.first_unreadable)
    if DAMAGED_SOURCE in summary.left_out:
        raise DataError(f"not all of {location} could be listed:{first}")
    if summary.read == 0:
        raise DataError(f"no photographs in {location}: it holds no files")
    unreadable = sum(summary.left_out.get(reason, 0) for reason in UNREADABLE)
    if unreadable > config.max_unreadable_share * summary.read:
        raise DataError(
            f"{unreadable} of {summary.read} files in {location} cannot be read as photographs, more than the "
            f"accepted share of {config.max_unreadable_share:g} (max_unreadable_share); the first ones:{first}"
        )
    if summary.kept == 0:
        reasons = ", ".join(f"{count} {reason}" for reason, count in summary.left_out.items())
        raise DataError(f"no photograph in {location} could be kept: {reasons}")


class IngestPhotos(beam.PTransform[beam.Pipeline, None]):
    """From a location to files: Split-*/data_tfrecord-*.gz, report.jsonl and summary.json under `output`.

    The Examples lie in the order of their hash's first byte: with the classes mixed, whatever the order of the input
    (but a tar.gz's photographs keep the archive's order, because it can only be read from its beginning).
    """

    def __init__(self, location: str, output: str, config: DataConfig) -> None:
        super().__init__()
        self._location = location
        self._output = output
        self._config = config

    def expand(self, pipeline: beam.Pipeline) -> None:
        """Build the graph; its end is files."""
        listed = (
            pipeline
            | "Location" >> beam.Create(list(sources(self._location).items()))
            | "List" >> beam.ParDo(_list).with_outputs("left_out", main="entries")
        )
        hashed = (
            listed.entries
            | "SpreadFiles" >> beam.Reshuffle()
            | "Hash" >> beam.ParDo(_Hash()).with_outputs("left_out", main="contents")
        )
        stored = (
            hashed.contents
            | "FirstOfSameContent" >> beam.CombinePerKey(min)
            | "KeyByReading" >> beam.MapTuple(_reading_key)
            | "GatherReadings" >> beam.GroupByKey()
            | "Store" >> beam.ParDo(_Store(self._config)).with_outputs("judged", *SPLITS)
        )
        for split in SPLITS:
            folder = FileSystems.join(self._output, f"Split-{split}")
            stored[split] | f"Write[{split}]" >> beam.io.WriteToTFRecord(
                FileSystems.join(folder, RECORDS_NAME), file_name_suffix=".gz"
            )
        by_content = (
            {"files": hashed.contents, "judged": stored.judged}
            | "JoinFilesOfSameContent" >> beam.CoGroupByKey()
            | "Conclude" >> beam.FlatMapTuple(_conclude)
        )
        outcomes = (
            (listed.left_out, hashed.left_out, by_content)
            | "AllOutcomes" >> beam.Flatten()
            | "CountOutcomes" >> beam.Map(_count)
        )
        self._write_report(outcomes)
        self._write_summary(outcomes)

    def _write_report(self, outcomes: PCollection[Any]) -> None:
        (
            outcomes
            | "LeftOut" >> beam.Filter(lambda outcome: bool(outcome.reason))
            | "ReportLine" >> beam.Map(lambda outcome: json.dumps(_report_line(outcome)))
            | "WriteReport" >> _write_one_file(FileSystems.join(self._output, REPORT_NAME))
        )

    def _write_summary(self, outcomes: PCollection[Any]) -> None:
        counts = (
            outcomes
            | "Kind" >> beam.Map(lambda outcome: (outcome.split, outcome.reason))
            | "CountKinds" >> combiners.Count.PerElement()
        )
        first = (
            outcomes
            | "Unreadable" >> beam.Filter(lambda outcome: outcome.reason in UNREADABLE | {DAMAGED_SOURCE})
            | "First" >> combiners.Top.Smallest(_EXAMPLES_OF_UNREADABLE)
        )
        (
            outcomes.pipeline
            | "Once" >> beam.Create([None])
            | "Summarise" >> beam.Map(_summarise, beam.pvalue.AsDict(counts), beam.pvalue.AsSingleton(first))
            | "WriteSummary" >> _write_one_file(FileSystems.join(self._output, SUMMARY_NAME))
        )


def _write_one_file(path: str) -> beam.io.WriteToText:
    """Return a transform that writes lines to one file; it appears under its name when it is complete."""
    return beam.io.WriteToText(path, num_shards=1, shard_name_template="")


def _list(source: tuple[str, str]) -> Iterator[Any]:
    name, location = source
    try:
        for found in list_source(name, location):
            if isinstance(found, FileEntry):
                yield found
            else:
                reason = DAMAGED_SOURCE if found.reason in _DAMAGED else found.reason
                yield TaggedOutput("left_out", IngestionOutcome(found.name, "", reason, found.detail))
    except DataError as error:
        yield TaggedOutput("left_out", IngestionOutcome(location, "", DAMAGED_SOURCE, str(error)))


class _Reading(beam.DoFn):
    """A step that reads photographs, with its own open archives."""

    def __init__(self) -> None:
        """Take nothing along to the workers."""

    def setup(self) -> None:
        self._reader = file_reader()

    def teardown(self) -> None:
        self._reader.close()


class _Hash(_Reading):
    """FileEntry -> (SHA-256 of the content in hexadecimal, FileEntry)."""

    def process(self, entry: FileEntry) -> Iterator[Any]:
        if entry.position >= 0:
            yield self._hash(entry)
            return
        try:
            for member, opened in self._reader.walk(entry):
                yield self._hash(member, opened)
        except DataError as error:
            yield TaggedOutput("left_out", IngestionOutcome(entry.name, "", DAMAGED_SOURCE, str(error)))

    def _hash(self, entry: FileEntry, opened: TarMember | None = None) -> Any:
        digest = hashlib.sha256()
        size = 0
        try:
            with _stream(self._reader, entry, opened) as stream:
                for block in read_blocks(stream):
                    digest.update(block)
                    size += len(block)
            if size == 0:  # judged here: empty files are not each other's duplicates
                raise PhotoError("empty", "the file is empty (0 bytes)")
        except PhotoError as error:
            return TaggedOutput("left_out", IngestionOutcome(entry.name, "", error.reason, error.detail))
        return digest.hexdigest(), entry


class _Store(_Reading):
    """(where to read, [(SHA-256, FileEntry)]) -> serialized Examples by split, and (SHA-256, (FileEntry,
    IngestionOutcome)) judged."""

    def __init__(self, config: DataConfig) -> None:
        super().__init__()
        self._config = config

    def process(self, reading: tuple[tuple[str, bytes, str], Iterable[tuple[str, FileEntry]]]) -> Iterator[Any]:
        (kind, path, _), photos = reading
        if kind != "tar.gz":
            for sha256, entry in sorted(photos):
                yield from self._store(sha256, entry)
            return
        wanted = {entry.position: (sha256, entry) for sha256, entry in photos}
        try:
            for member, opened in self._reader.walk(FileEntry("", kind, path, -1)):
                if member.position in wanted:
                    yield from self._store(*wanted.pop(member.position), opened)
        except DataError:
            pass  # reported when the archive was hashed
        for sha256, entry in wanted.values():
            yield from self._judge(sha256, entry, "", "unreadable", "the archive changed while it was read")

    def _store(self, sha256: str, entry: FileEntry, opened: TarMember | None = None) -> Iterator[Any]:
        try:
            with _stream(self._reader, entry, opened) as stream:
                data = b"".join(read_blocks(stream))
            if hashlib.sha256(data).hexdigest() != sha256:
                raise PhotoError("unreadable", "the file changed while it was read")
            example = photo_example(data, entry.name, sha256, self._config)
        except Exception as error:
            fault = fault_of_photo(error)
            reason = fault.reason if isinstance(fault, PhotoError) else "unreadable"
            yield from self._judge(sha256, entry, "", reason, str(fault))
            return
        split = split_of(sha256, self._config.splits)
        yield TaggedOutput(split, example.SerializeToString(deterministic=True))
        yield from self._judge(sha256, entry, split, "", "")

    def _judge(self, sha256: str, entry: FileEntry, split: str, reason: str, detail: str) -> Iterator[Any]:
        yield TaggedOutput("judged", (sha256, (entry, IngestionOutcome(entry.name, split, reason, detail))))


def _count(outcome: IngestionOutcome) -> IngestionOutcome:
    """Pass an outcome on and count it in Beam's metrics: `kept`, or its reason by its name."""
    Metrics.counter(METRICS_NAMESPACE, outcome.reason or "kept").inc()
    return outcome


def _stream(
    reader: FileReader, entry: FileEntry, opened: TarMember | None
) -> contextlib.AbstractContextManager[IO[bytes]]:
    return opened.open() if opened else reader.open(entry)


def _reading_key(sha256: str, entry: FileEntry) -> tuple[tuple[str, bytes, str], tuple[str, FileEntry]]:
    """Key what is read together: a whole tar.gz; of the rest, the 256th part with this first byte of the hash."""
    key = (entry.kind, entry.path, "") if entry.kind == "tar.gz" else (entry.kind, b"", sha256[:2])
    return key, (sha256, entry)


def _conclude(sha256: str, group: dict[str, Iterable[Any]]) -> Iterator[IngestionOutcome]:
    """Yield the outcome of each file with this content: the first one's own, for the others what follows from it."""
    del sha256
    ((kept, outcome),) = group["judged"]
    for entry in group["files"]:
        if entry == kept:
            yield outcome
        elif outcome.reason:
            yield outcome._replace(name=entry.name)
        else:
            yield IngestionOutcome(entry.name, "", "duplicate", f"the same content as {kept.name}")


def _report_line(outcome: IngestionOutcome) -> dict[str, str]:
    return {"path": outcome.name, "reason": outcome.reason, "detail": outcome.detail}


def _summarise(_: None, counts: dict[tuple[str, str], int], first: list[IngestionOutcome]) -> str:
    splits = {split: counts.get((split, ""), 0) for split in SPLITS}
    left_out = {reason: count for (_, reason), count in sorted(counts.items()) if reason}
    return IngestionSummary(
        read=sum(counts.values()) - sum(left_out.get(reason, 0) for reason in _NOT_READ),
        kept=sum(splits.values()),
        splits=splits,
        left_out=left_out,
        first_unreadable=[_report_line(outcome) for outcome in first],
    ).model_dump_json(indent=2)
