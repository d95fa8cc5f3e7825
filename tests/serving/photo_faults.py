"""An album with one photograph at which any stage of colouring can be made to fail, in every module that has it."""

import functools
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import pytest
from PIL import Image

GOOD, BAD = ["a.png", "b.png", "c.png"], "bad.png"
_BAD_SIDE, _BAD_SHADE = 44, 250  # as wide, and as light, as no other one


def write_album(folder: Path) -> Path:
    """Write the good photographs and the bad one, which is a photograph like any other."""
    folder.mkdir()
    for number, name in enumerate(GOOD):
        Image.new("L", (40, 30), 60 + 30 * number).save(folder / name)
    Image.new("L", (_BAD_SIDE, 30), _BAD_SHADE).save(folder / BAD)
    return folder


def _is_bad_file(data: bytes, *_: Any, **__: Any) -> bool:
    return data[16:24] == b"\0\0\0\x2c\0\0\0\x1e"  # width and height in the header of a PNG


def _is_bad_array(rgb: np.ndarray, *_: Any, **__: Any) -> bool:
    return rgb.shape[1] == _BAD_SIDE


def _is_bad_lightness(_: Any, lightness: np.ndarray, *__: Any, **___: Any) -> bool:
    return bool(lightness.max() > 90)


# Of each stage the functions that do it, in the modules that call them, and what tells that it is the bad one's turn.
_STAGES: dict[str, dict[str, Callable[..., bool]]] = {
    "decode": {
        "photo.input_kinds.decode_photo": _is_bad_file,
        **{
            f"{module}.decode_pages": _is_bad_file
            for module in (
                "photo.apply_ab",
                "serving.client.coloring_flows",
                "serving.batch.preparing",
                "serving.web.page_reading",
            )
        },
    },
    "prepare": {
        "serving.client.coloring_flows.prepare": _is_bad_array,
        "serving.batch.preparing.prepare": _is_bad_array,
    },
    "predict": {"serving.client.model_requests.ModelRequests.predicting_ab": _is_bad_lightness},
    "finish": {
        f"{module}.finish": lambda prepared, *_: _is_bad_array(prepared.lightness)
        for module in ("serving.client.coloring_flows", "serving.batch.writing", "photo.apply_ab")
    },
    "encode": {
        f"{module}.encode_coloring": _is_bad_array
        for module in ("photo.input_kinds", "photo.apply_ab", "serving.client.coloring_flows", "serving.batch.writing")
    },
    "write": {
        "serving.client.coloring_flows.write_whole": lambda path, _, **__: "bad" in path.name,
        "serving.batch.outputs.write_whole": lambda path, _, **__: "bad" in path.name,
        "serving.web.anonymous_file.AnonymousFile.write_ab": lambda file, *_: _is_bad_file(file.read_blocking()),
    },
}

STAGES = list(_STAGES)


def break_stage(monkeypatch: pytest.MonkeyPatch, stage: str, error: BaseException) -> None:
    """Let a stage raise `error` at the bad photograph, and nowhere else."""
    for target, is_bad in _STAGES[stage].items():
        monkeypatch.setattr(target, _breaking(resolve_name(target), is_bad, error))


def _breaking(function: Callable[..., Any], is_bad: Callable[..., bool], error: BaseException) -> Callable[..., Any]:
    @functools.wraps(function)
    def breaking(*arguments: Any, **options: Any) -> Any:
        if is_bad(*arguments, **options):
            raise error
        return function(*arguments, **options)

    return breaking
