"""The calls of a client as flows: all of `Colorizer` and `AsyncColorizer` that is not input and output."""

import hashlib
from collections.abc import Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photo.coloring import Prepared, finish, prepare
from photo.coloring_options import ColoringOptions
from photo.decoding import decode_photo
from photo.encoding import encode_coloring
from photo.errors import TintypeError
from photo.formats import FORMAT_OF_SUFFIX, PhotoFormat
from photo.input_kinds import PhotoInput, PhotoOutput, open_photo, read_photo
from photo.provenance import Provenance, provenance_now
from photo.whole_file import write_whole
from serving.client.flow_steps import Flow, Work
from serving.client.model_requests import ModelRequests
from serving.client.options import ConnectionOptions
from serving.model.description import ModelDescription

DEFAULT_CONCURRENCY = 4

# More colourings of one photograph than anybody looks at; they come in one answer.
MAX_VARIANTS = 64

# Of several servers, in the midst of a rollout, another one may describe itself than the one that answered.
_DESCRIBING_ATTEMPTS = 3

PhotoPath = str | PathLike[str]

OutputPaths = PhotoPath | Sequence[PhotoPath]
"""Where the colouring of a file goes; with a seed, where each of its variants goes."""


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

    def coloring(self, photo: PhotoInput, options: ColoringOptions) -> Flow[PhotoOutput]:
        """Colour one photograph."""
        rgb, in_kind = yield Work(partial(open_photo, photo, options, max_pixels=self._connection.max_pixels))
        prepared, found, provenance = yield from self._asking_for_ab(rgb, None, options.keep_tint)
        colored: PhotoOutput = yield Work(lambda: in_kind(finish(prepared, found[0], options.strength), provenance))
        return colored

    def varying(self, photo: PhotoInput, count: int, options: ColoringOptions, seed: int) -> Flow[list[PhotoOutput]]:
        """Colour one photograph in several ways."""
        seeds = _seeds(count, seed)
        rgb, in_kind = yield Work(partial(open_photo, photo, options, max_pixels=self._connection.max_pixels))
        prepared, found, provenance = yield from self._asking_for_ab(rgb, seeds, options.keep_tint)

        def color(ab: NDArray[np.float32]) -> PhotoOutput:
            colored: PhotoOutput = in_kind(finish(prepared, ab, options.strength), provenance)
            return colored

        variants = []
        for ab in found:
            variants.append((yield Work(partial(color, ab))))
        return variants

    def finding_ab(
        self, photo: PhotoInput, count: int | None, seed: int
    ) -> Flow[tuple[NDArray[np.float32], Provenance]]:
        """Ask for the colour of one photograph without laying it on: [N, S, S, 2]."""
        seeds = None if count is None else _seeds(count, seed)
        rgb, _ = yield Work(partial(open_photo, photo, ColoringOptions(), max_pixels=self._connection.max_pixels))
        _, found, provenance = yield from self._asking_for_ab(rgb, seeds, keep_tint=False)
        return found, provenance

    def coloring_file(
        self, path: PhotoPath, output: OutputPaths, options: ColoringOptions, seed: int | None
    ) -> Flow[list[Path]]:
        """Write one colouring into a file, or with a seed as many different ones as there are files."""
        path, output_paths = Path(path), _output_paths(output)
        if seed is None and len(output_paths) != 1:
            raise ValueError(f"expected one output path, or a seed for several, received {len(output_paths)}")
        seeds = None if seed is None else _seeds(len(output_paths), seed)
        formats = [_format_of(output_path, path, options.format) for output_path in output_paths]
        photo = yield Work(lambda: decode_photo(read_photo(path), max_pixels=self._connection.max_pixels))
        prepared, found, provenance = yield from self._asking_for_ab(photo.rgb, seeds, options.keep_tint)

        def write(ab: NDArray[np.float32], output_path: Path, format: PhotoFormat) -> None:
            rgb = finish(prepared, ab, options.strength)
            write_whole(output_path, encode_coloring(rgb, format, photo.metadata, options, provenance))

        for ab, output_path, format in zip(found, output_paths, formats, strict=True):
            yield Work(partial(write, ab, output_path, format))
        return output_paths

    def predicting_ab(self, lightness: NDArray[Any]) -> Flow[NDArray[np.float32]]:
        """Ask for the colour of lightness [N, S, S, 1]."""
        ab, _ = yield from self._requests.predicting_ab(lightness, self._label)
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
        self, rgb: NDArray[Any], seeds: range | None, keep_tint: bool
    ) -> Flow[tuple[Prepared, NDArray[np.float32], Provenance]]:
        """Ask for the colour of a photograph [H, W, 3]: once, or once for each of the seeds.

        Returns:
            The prepared photograph, a*b* for its square, float32 [N, S, S, 2], and whose they are.
        """
        label = (yield Work(partial(self._label_for, rgb))) if self._connection.canary_share else self._label
        version = self._described.get(label)
        if version is None:
            description, _ = yield from self._describing(label)
        else:
            description = self._descriptions[version]
        prepared = yield Work(partial(prepare, rgb, description.size, keep_tint=keep_tint))
        ab, answering = yield from self._requests.predicting_ab(prepared.square[None], label, seeds)
        for _ in range(_DESCRIBING_ATTEMPTS):
            if answering in self._descriptions:
                self._described[label] = answering
                break
            yield from self._describing(label)  # a new version took over
        newer = self._descriptions.get(answering, description)
        if newer.size != description.size:
            prepared = yield Work(partial(prepare, rgb, newer.size, keep_tint=keep_tint))
            ab, _ = yield from self._requests.predicting_ab(prepared.square[None], label, seeds)
        return prepared, ab, provenance_now(newer.fingerprint)

    def _label_for(self, rgb: NDArray[Any]) -> str | None:
        """Choose a version by the photograph's content, so that the same photograph always meets the same one."""
        digest = hashlib.sha256(np.ascontiguousarray(rgb).data).digest()
        is_canary = int.from_bytes(digest[:8]) < self._connection.canary_share * 2**64
        return self._connection.canary_label if is_canary else self._label


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
