"""The work of the Canary: a real server loads the candidate and a real client asks it, before any user does."""

import contextlib
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from absl import logging
from numpy.typing import NDArray
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.canary.config import CanaryConfig
from components.evaluator.examples import first_photographs
from photo.color import rgb_to_lightness
from photo.decoding import Rgb
from photo.errors import TintypeError
from photo.geometry import fit_square
from serving.client.colorizer import Colorizer
from serving.client.options import ConnectionOptions
from serving.server.options import ServerOptions
from serving.server.process import ServerProcess, server_process

MODEL_NAME = "canary"
REPORT_FILE = "canary.json"
SPLIT = "eval"

# What TFX's own InfraValidator writes, so that whatever reads an InfraBlessing can read this one.
BLESSED_FILE, NOT_BLESSED_FILE = "INFRA_BLESSED", "INFRA_NOT_BLESSED"
BLESSED = "blessed"

# The range of 8-bit a*b*; no colour that sRGB can show is outside of it.
_LEAST_AB, _LARGEST_AB = -128.0, 127.0
# A request may be several times too slow and still be measured rather than given up.
_LEAST_TIMEOUT_SECONDS = 30.0
_STOP_SECONDS = 5.0
# A server that just crashed has closed its connections a moment before it can be waited for.
_END_SECONDS = 1.0


class Executor(base_executor.BaseExecutor):
    """Serves the candidate, sends it photographs, and blesses it if every answer is sound and soon enough."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Try the candidate. One that fails is not blessed; nothing is raised, so that the run ends with its report.

        Args:
            input_dict: `model` (Model), `examples` (Examples with a split `eval`); `model_blessing` (ModelBlessing),
                optional: a candidate that it does not bless is not tried.
            output_dict: `blessing` (InfraBlessing) gets what TFX's InfraValidator writes: the file INFRA_BLESSED or
                INFRA_NOT_BLESSED and the property `blessed`; and `canary.json`, the figures and the reasons.
            exec_properties: `config`, the JSON of a CanaryConfig.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        config = CanaryConfig.model_validate_json(exec_properties["config"])
        model = artifact_utils.get_single_instance(input_dict["model"])
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])

        report: dict[str, Any] = {"blessed": False, "reasons": []}
        if _is_refused(input_dict.get("model_blessing")):
            report["reasons"].append("the evaluation does not bless the candidate: it was not tried")
        else:
            try:
                photos = [photo.rgb for photo in first_photographs(input_dict["examples"], SPLIT, config.requests)]
                with _base_path_of(path_utils.serving_model_path(model.uri)) as base_path:
                    _try_candidate(base_path, photos, config, report)
            except (TintypeError, OSError) as error:
                report["reasons"].append(str(error))
        report["blessed"] = not report["reasons"]

        io_utils.write_string_file(os.path.join(blessing.uri, REPORT_FILE), json.dumps(report, indent=2))
        name = BLESSED_FILE if report["blessed"] else NOT_BLESSED_FILE
        io_utils.write_string_file(os.path.join(blessing.uri, name), "")
        blessing.set_int_custom_property(BLESSED, int(report["blessed"]))
        if report["blessed"]:
            logging.info("The canary lives: median request %.1f ms", report["latency_ms"]["median"])
        else:
            logging.warning("The canary does NOT bless the candidate: %s", "; ".join(report["reasons"]))


def _is_refused(model_blessings: list[types.Artifact] | None) -> bool:
    return any(blessing.get_int_custom_property("blessed") != 1 for blessing in model_blessings or [])


@contextlib.contextmanager
def _base_path_of(model_dir: str) -> Iterator[str]:
    """Make a local serving base path whose version 1 is the candidate."""
    with tempfile.TemporaryDirectory(prefix="tintype-canary-") as base_path:
        version = os.path.join(base_path, "1")
        if "://" in model_dir:
            io_utils.copy_dir(model_dir, version)
        else:
            os.symlink(os.path.abspath(model_dir), version)
        yield base_path


def _try_candidate(base_path: str, photos: list[Rgb], config: CanaryConfig, report: dict[str, Any]) -> None:
    """Serve what lies under `base_path`, ask it, and write figures and reasons into `report`."""
    started = time.monotonic()
    with candidate_server(base_path) as server:
        server.wait_until_ready(config.startup_seconds)
        report["startup_seconds"] = round(time.monotonic() - started, 3)
        timeout = max(_LEAST_TIMEOUT_SECONDS, 3 * config.max_latency_ms / 1000)
        try:
            with Colorizer(server.address, ConnectionOptions(model_name=MODEL_NAME, timeout=timeout)) as colorizer:
                server.watch(colorizer.close)  # in place of asking a server that is gone until the time is over
                ask(colorizer, photos, config, report)
        except TintypeError as error:
            if server.ends_within(_END_SECONDS):
                raise TintypeError(f"the server ended while it was asked ({error}): {server.log_tail()}") from error
            raise


def candidate_server(base_path: str) -> contextlib.AbstractContextManager[ServerProcess]:
    """Serve the one version under `base_path` in a process that ends if the model does not load.

    It runs on the processor alone: after a training in this process, TensorFlow still holds the accelerator's memory.
    """
    options = ServerOptions(MODEL_NAME, base_path, file_system_poll_wait_seconds=0, max_num_load_retries=0)
    return server_process(options, patience=_STOP_SECONDS, silent=True, with_accelerator=False)


def ask(colorizer: Colorizer, photos: list[Rgb], config: CanaryConfig, report: dict[str, Any]) -> None:
    """Send a served candidate photographs and judge its answers.

    Args:
        colorizer: a client of the candidate.
        photos: sRGB, uint8 or uint16 [H, W, 3] each, at least one.
        config: how many requests, and the bound on the median one.
        report: gets `model`, `photographs`, `requests` and `latency_ms`; and a reason if the candidate is too slow.

    Raises:
        TintypeError: an answer is none, or is not sound.
    """
    description = colorizer.describe()
    report["model"] = vars(description)
    squares = [fit_square(rgb_to_lightness(photo), description.size)[0][None, ..., None] for photo in photos]

    def milliseconds(square: NDArray[np.float32]) -> float:
        started = time.perf_counter()
        ab = colorizer.predict_ab(square)  # refuses another shape, and values that are not finite
        took = (time.perf_counter() - started) * 1000
        if not (ab.min() >= _LEAST_AB and ab.max() <= _LARGEST_AB):
            raise TintypeError(
                f"colours from {ab.min():.1f} to {ab.max():.1f}; a*b* are within {_LEAST_AB:g}..{_LARGEST_AB:g}"
            )
        return took

    # The first request pays for what a server does once, and says nothing of the rest.
    first = milliseconds(squares[0])
    latencies = [milliseconds(square) for square in itertools.islice(itertools.cycle(squares), config.requests)]
    for photo in photos:
        colored = colorizer.colorize(photo)
        if colored.shape != photo.shape or colored.dtype != photo.dtype:
            raise TintypeError(
                f"a photo {photo.dtype} of shape {photo.shape} came back as {colored.dtype} of shape {colored.shape}"
            )
    median = statistics.median(latencies)
    report["photographs"] = len(photos)
    report["requests"] = len(latencies)
    report["latency_ms"] = {
        name: round(value, 3) for name, value in (("first", first), ("median", median), ("max", max(latencies)))
    }
    if not median <= config.max_latency_ms:
        report["reasons"].append(
            f"the median request took {median:.1f} ms; max_latency_ms is {config.max_latency_ms:g}"
        )
