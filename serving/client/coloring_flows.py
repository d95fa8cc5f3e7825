"""The calls of a client as flows: all of `Colorizer` and `AsyncColorizer` that is not input and output."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photo.coloring import Prepared, at_full_size, at_side, cell_of, finish, hint_map, mean_ab, prepare, shown_color
from photo.coloring_options import ColoringOptions
from photo.decoding import Photo, decode_pages
from photo.encoding import ColoredPage, EncodedColoring, encode_colored_pages, encode_coloring
from photo.errors import TintypeError
from photo.formats import FORMAT_OF_SUFFIX, PhotoFormat
from photo.hints import Hint, check_hints
from photo.input_kinds import PhotoInput, PhotoOutput, open_photo, read_photo
from photo.pages import PagePlan, plan_pages
from photo.provenance import Provenance, provenance_now
from photo.tint import color_notes
from photo.whole_file import write_whole
from serving.client.flow_steps import Flow, Work
from serving.client.model_requests import ModelRequests
from serving.client.options import ConnectionOptions
from serving.client.results import LikelyColor, WrittenFiles
from serving.model import signatures
from serving.model.description import ModelDescription

log = logging.getLogger(__name__)

DEFAULT_CONCURRENCY = 4

# More colourings of one photograph than anybody looks at; they come in one answer.
MAX_VARIANTS = 64

# Of several servers, in the midst of a rollout, another one may describe itself than the one that answered.
_DESCRIBING_ATTEMPTS = 3

PhotoPath = str | PathLike[str]

OutputPaths = PhotoPath | Sequence[PhotoPath]
"""Where the colouring of a file goes; with a seed, where each of its variants goes."""


@dataclass(frozen=True)
class Question:
    """What is asked of the model about one photograph.

    Attributes:
        seeds: of the variants that are wanted; None asks for the one usual colouring.
        hints: colours that the colouring is to have, of all pages or of the one.
        render: sides at which the model is asked; None is its own.
        keep_tint: as in `ColoringOptions`.

    Raises:
        TintypeError: hints with seeds, or several sides with seeds.
    """

    seeds: range | None = None
    hints: tuple[Hint, ...] = ()
    render: tuple[int, ...] | None = None
    keep_tint: bool = False

    def __post_init__(self) -> None:
        if self.seeds is not None and self.hints:
            raise TintypeError("hints give one colouring; leave the variants or the hints out")
        if self.seeds is not None and self.render is not None and len(self.render) > 1:
            raise TintypeError("render: the mean of variants at several sides is none of them; give one side")

    def about(self, page: int, plan: PagePlan) -> "Question":
        """Return it with the hints of one page of a plan; raises PhotoError as `PagePlan.hints_of`."""
        return replace(self, hints=plan.hints_of(page, self.hints))


class ColoringFlows:
    """Prepares photographs, asks for their colour and lays it on.

    Remembers how each version described itself, so that it need not be asked for every photograph. Safe to use from
    several threads.
    """

    def __init__(self, requests: ModelRequests, connection: ConnectionOptions):
        self._requests = requests
        self._connection = connection
        self._label = connection.stable_label if connection.canary_share else connection.version_label
        self._described: dict[str | None, int] = {}  # by label, the version that answered last
        self._descriptions: dict[int, ModelDescription] = {}  # by version; with several servers, they may alternate

    def coloring(self, photo: PhotoInput, options: ColoringOptions, hints: Sequence[Hint]) -> Flow[PhotoOutput]:
        """Colour one photograph."""
        question = _question(options, hints=hints)
        if isinstance(photo, str | PathLike):
            photo = yield Work(partial(read_photo, Path(photo)))
        if isinstance(photo, bytes | bytearray | memoryview):
            photo = bytes(photo)
            plan = yield Work(partial(plan_pages, photo, options, max_pixels=self._connection.max_pixels))
            for note in plan.notes(question.hints):
                log.warning("a photograph of several pages: %s", note)
            if len(plan.pages) > 1:
                encoded = yield from self._coloring_pages(photo, plan, question, options)
                return encoded.data
        rgb, in_kind, plan = yield Work(partial(open_photo, photo, options, max_pixels=self._connection.max_pixels))
        question = question.about(plan.pages[0], plan)
        prepared, found, provenance = yield from self._asking_for_ab(rgb, question)
        colored: PhotoOutput = yield Work(lambda: in_kind(finish(prepared, found[0], options), provenance))
        return colored

    def coloring_encoded(
        self, data: bytes, count: int | None, options: ColoringOptions, seed: int, hints: Sequence[Hint]
    ) -> Flow[list[EncodedColoring]]:
        """Colour a photograph's file into the bytes of another one, or with a count into as many variants."""
        question = _question(options, seeds=None if count is None else _seeds(count, seed), hints=hints)
        several, max_pixels = "" if count is None else "each variant", self._connection.max_pixels
        plan = yield Work(partial(plan_pages, data, options, one_alone=several, max_pixels=max_pixels))
        if len(plan.pages) > 1:
            return [(yield from self._coloring_pages(data, plan, question, options))]
        pages = decode_pages(data, plan.pages, max_pixels=max_pixels)
        photo, read, (prepared, found, provenance) = yield from self._asking_for_next(pages, plan, question, options)
        format = options.format or photo.format.written_as

        def encode(ab: NDArray[np.float32]) -> EncodedColoring:
            rgb = finish(prepared, ab, options)
            encoded = encode_coloring(rgb, format, photo.metadata, options, provenance, photo.alpha)
            return EncodedColoring(encoded.data, tuple(dict.fromkeys((*read, *encoded.notes))))

        results = []
        for ab in found:
            results.append((yield Work(partial(encode, ab))))
        return results

    def varying(self, photo: PhotoInput, count: int, options: ColoringOptions, seed: int) -> Flow[list[PhotoOutput]]:
        """Colour one photograph in several ways."""
        question = _question(options, seeds=_seeds(count, seed))
        rgb, in_kind, _ = yield Work(partial(open_photo, photo, options, max_pixels=self._connection.max_pixels))
        prepared, found, provenance = yield from self._asking_for_ab(rgb, question)

        def color(ab: NDArray[np.float32]) -> PhotoOutput:
            colored: PhotoOutput = in_kind(finish(prepared, ab, options), provenance)
            return colored

        variants = []
        for ab in found:
            variants.append((yield Work(partial(color, ab))))
        return variants

    def finding_ab(
        self, photo: PhotoInput, count: int | None, options: ColoringOptions, seed: int, hints: Sequence[Hint]
    ) -> Flow[tuple[NDArray[np.float32], Provenance]]:
        """Ask for the colour of one photograph without laying it on: [N, S, S, 2]; of the options `render` counts."""
        question = _question(options, seeds=None if count is None else _seeds(count, seed), hints=hints)
        rgb, _, plan = yield Work(partial(open_photo, photo, options, max_pixels=self._connection.max_pixels))
        _, found, provenance = yield from self._asking_for_ab(rgb, question.about(plan.pages[0], plan))
        return found, provenance

    def finding_likely_colors(
        self, photo: PhotoInput, x: float, y: float, hints: Sequence[Hint]
    ) -> Flow[list[LikelyColor]]:
        """Ask which colours a place of a photograph may have."""
        place = Hint(x, y, "#000000")  # which checks it
        wanted = (signatures.LIKELY_COLORS, signatures.LIKELY_SHARES)
        prepared, (colors, shares) = yield from self._asking_about_colors(photo, hints, wanted)
        cell = cell_of(prepared, place.x, place.y)
        small = colors.shape[1]
        row, column = (index * small // prepared.square.shape[0] for index in cell)
        shown = shown_color(prepared, cell, colors[0, row, column])
        return [
            LikelyColor("#{:02x}{:02x}{:02x}".format(*rgb), float(share))
            for rgb, share in zip(shown.tolist(), shares[0, row, column], strict=True)
        ]

    def finding_uncertainty(self, photo: PhotoInput, hints: Sequence[Hint]) -> Flow[NDArray[np.float32]]:
        """Ask how sure the model is of the colour: [H, W]."""
        prepared, (found,) = yield from self._asking_about_colors(photo, hints, (signatures.UNCERTAINTY,))
        spread: NDArray[np.float32] = yield Work(lambda: at_full_size(prepared, found[0, ..., 0]))
        return spread

    def coloring_file(
        self, path: PhotoPath, output: OutputPaths, options: ColoringOptions, seed: int | None, hints: Sequence[Hint]
    ) -> Flow[WrittenFiles]:
        """Write one colouring into a file, or with a seed as many different ones as there are files."""
        path, output_paths = Path(path), _output_paths(output)
        if seed is None and len(output_paths) != 1:
            raise ValueError(f"expected one output path, or a seed for several, received {len(output_paths)}")
        question = _question(options, seeds=None if seed is None else _seeds(len(output_paths), seed), hints=hints)
        formats = [_format_of(output_path, path, options.format) for output_path in output_paths]
        data = yield Work(partial(read_photo, path))
        several = "" if seed is None else "each variant"
        max_pixels = self._connection.max_pixels
        plan = yield Work(partial(plan_pages, data, options, formats[0], one_alone=several, max_pixels=max_pixels))
        dated_as = path if options.keep_date else None
        if len(plan.pages) > 1:
            album = yield from self._coloring_pages(data, plan, question, options)
            yield Work(partial(write_whole, output_paths[0], album.data, dated_as=dated_as))
            return WrittenFiles(output_paths, album.notes)
        pages = decode_pages(data, plan.pages, max_pixels=max_pixels)
        photo, read, (prepared, found, provenance) = yield from self._asking_for_next(pages, plan, question, options)

        def write(ab: NDArray[np.float32], output_path: Path, format: PhotoFormat) -> tuple[str, ...]:
            rgb = finish(prepared, ab, options)
            encoded = encode_coloring(rgb, format, photo.metadata, options, provenance, photo.alpha)
            write_whole(output_path, encoded.data, dated_as=dated_as)
            return encoded.notes

        notes = dict.fromkeys(read)
        for ab, output_path, format in zip(found, output_paths, formats, strict=True):
            notes |= dict.fromkeys((yield Work(partial(write, ab, output_path, format))))
        return WrittenFiles(output_paths, tuple(notes))

    def _coloring_pages(
        self, data: bytes, plan: PagePlan, question: Question, options: ColoringOptions
    ) -> Flow[EncodedColoring]:
        """Colour several pages into one TIFF."""
        pages = decode_pages(data, plan.pages, max_pixels=self._connection.max_pixels)
        colored: list[ColoredPage] = []
        notes: dict[str, None] = {}
        provenance = Provenance()
        for _ in plan.pages:
            photo, read, (prepared, found, provenance) = yield from self._asking_for_next(
                pages, plan, question, options
            )
            rgb = yield Work(partial(finish, prepared, found[0], options))
            colored.append(ColoredPage(rgb, photo.metadata, photo.alpha))
            notes |= dict.fromkeys(read)
        encoded = yield Work(partial(encode_colored_pages, colored, options, provenance))
        return EncodedColoring(encoded.data, tuple(notes | dict.fromkeys(encoded.notes)))

    def _asking_for_next(
        self, pages: Iterator[Photo], plan: PagePlan, question: Question, options: ColoringOptions
    ) -> Flow[tuple[Photo, tuple[str, ...], tuple[Prepared, NDArray[np.float32], Provenance]]]:
        """Decode the next page of a plan and ask for its colour: the page, what is to be said of it, and the answer."""
        photo: Photo = yield Work(partial(next, pages))
        of_color = yield Work(partial(color_notes, photo.color, options.color_photos))
        found = yield from self._asking_for_ab(photo.color, question.about(photo.page, plan))
        return photo, (*photo.notes, *plan.notes(question.hints), *of_color), found

    def predicting_ab(self, lightness: NDArray[Any], hints: NDArray[np.float32] | None) -> Flow[NDArray[np.float32]]:
        """Ask for the colour of lightness [N, S, S, 1]."""
        ab, _ = yield from self._requests.predicting_ab(lightness, self._label, hints=hints)
        return ab

    def describing(self) -> Flow[tuple[ModelDescription, int]]:
        """Ask the model what it is, and which version says so."""
        return (yield from self._describing(self._label))

    def _describing(self, label: str | None) -> Flow[tuple[ModelDescription, int]]:
        description, version = yield from self._requests.describing(label)
        self._described[label] = version
        self._descriptions[version] = description
        return description, version

    def _asking_for_ab(
        self, rgb: NDArray[Any], question: Question
    ) -> Flow[tuple[Prepared, NDArray[np.float32], Provenance]]:
        """Ask for the colour of a photograph [H, W, 3]: once, or once for each of the seeds.

        Returns:
            The prepared photograph, a*b* for its square, float32 [N, S, S, 2], and whose they are.
        """
        label = yield from self._label_of(rgb)
        description = yield from self._known(label)
        prepared, ab, answering = yield from self._asking_at_sides(rgb, question, label, description)
        newer = yield from self._described_by(answering, label, description)
        if question.render is None and newer.size != description.size:
            prepared, ab, _ = yield from self._asking_at_sides(rgb, question, label, newer)
        return prepared, ab, provenance_now(newer.fingerprint)

    def _asking_at_sides(
        self, rgb: NDArray[Any], question: Question, label: str | None, description: ModelDescription
    ) -> Flow[tuple[Prepared, NDArray[np.float32], int]]:
        """Ask at every side that the question names, or at the model's own; the photograph is at the largest."""
        sides = description.sides_to_ask(question.render)
        first = yield Work(partial(prepare, rgb, sides[0], keep_tint=question.keep_tint, hints=question.hints))
        at_sides, found, version = [], [], 0
        for side in sides:
            prepared: Prepared = yield Work(partial(at_side, first, side))
            hints = hint_map(prepared)[None] if question.hints else None
            ab, version = yield from self._requests.predicting_ab(
                prepared.square[None], label, seeds=question.seeds, hints=hints
            )
            at_sides.append(prepared)
            found.append(ab)
        return first, mean_ab(at_sides, found), version

    def _asking_about_colors(
        self, photo: PhotoInput, hints: Sequence[Hint], wanted: tuple[str, ...]
    ) -> Flow[tuple[Prepared, list[NDArray[np.float32]]]]:
        """Return the prepared photograph, and what the model says of its colours, given the hints, at its own side."""
        checked, max_pixels = check_hints(hints), self._connection.max_pixels
        rgb, _, plan = yield Work(partial(open_photo, photo, ColoringOptions(), max_pixels=max_pixels))
        of_page = plan.hints_of(plan.pages[0], checked)
        label = yield from self._label_of(rgb)
        description = yield from self._known(label)
        prepared: Prepared = yield Work(partial(prepare, rgb, description.size, hints=of_page))
        found, answering = yield from self._requests.asking_about_colors(
            prepared.square[None], hint_map(prepared)[None], label, wanted
        )
        yield from self._described_by(answering, label, description)
        return prepared, found

    def _label_of(self, rgb: NDArray[Any]) -> Flow[str | None]:
        return (yield Work(partial(self._label_for, rgb))) if self._connection.canary_share else self._label

    def _known(self, label: str | None) -> Flow[ModelDescription]:
        """Return how the version that answered last described itself."""
        version = self._described.get(label)
        if version is not None:
            return self._descriptions[version]
        return (yield from self._describing(label))[0]

    def _described_by(self, answering: int, label: str | None, fallback: ModelDescription) -> Flow[ModelDescription]:
        """Return how the version that has just answered describes itself; `fallback` where it will not tell."""
        for _ in range(_DESCRIBING_ATTEMPTS):
            if answering in self._descriptions:
                self._described[label] = answering
                break
            yield from self._describing(label)  # a new version took over
        return self._descriptions.get(answering, fallback)

    def _label_for(self, rgb: NDArray[Any]) -> str | None:
        """Choose a version by the photograph's content, so that the same photograph always meets the same one."""
        digest = hashlib.sha256(np.ascontiguousarray(rgb).data).digest()
        is_canary = int.from_bytes(digest[:8]) < self._connection.canary_share * 2**64
        return self._connection.canary_label if is_canary else self._label


def _question(options: ColoringOptions, *, seeds: range | None = None, hints: Sequence[Hint] = ()) -> Question:
    return Question(seeds, check_hints(hints), options.render, options.keep_tint)


def check_concurrency(concurrency: int) -> int:
    """Return it; raises ValueError for less than 1."""
    if concurrency < 1:
        raise ValueError(f"expected a concurrency of at least 1, received {concurrency}")
    return concurrency


def _output_paths(output: OutputPaths) -> list[Path]:
    return [Path(output)] if isinstance(output, str | PathLike) else [Path(path) for path in output]


def _seeds(count: int, seed: int) -> range:
    if not 1 <= count <= MAX_VARIANTS:
        raise ValueError(f"expected 1..{MAX_VARIANTS} variants, received {count}")
    if not 0 <= seed <= 2**31 - count:  # int32 in the signature
        raise ValueError(f"expected a seed of 0..{2**31 - count}, received {seed}")
    return range(seed, seed + count)


def _format_of(output: Path, path: Path, format: PhotoFormat | None) -> PhotoFormat:
    if output.exists() and path.exists() and output.samefile(path):
        raise TintypeError(f"{output} is the photograph itself; choose another place for the result")
    found = format or FORMAT_OF_SUFFIX.get(output.suffix.lower())
    if found is None:
        raise TintypeError(
            f"cannot tell the format of {output} by its suffix; expected one of {', '.join(FORMAT_OF_SUFFIX)}"
        )
    return found
