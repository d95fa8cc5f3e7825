"""A model in ONNX's format asked through its signatures by onnxruntime, in this process and without TensorFlow.

A file of ONNX holds one graph, so each signature is a file by itself: `serving_default.onnx`, `guided.onnx`. What the
signature `describe` would say lies in the metadata of each.
"""

import json
import os
import threading
import zipfile
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from photo.errors import SignatureMissing, TintypeError
from serving.model import signatures
from serving.model.description import ModelDescription
from serving.model.shipped_generator import packed_members, shipped_generator
from serving.model.silent_onnxruntime import import_onnxruntime
from serving.proto_messages import Declarations, file_of_messages

METADATA = "tintype"
"""The key, in the metadata of an ONNX file, of what `describe` says: `ModelDescription` as JSON."""

ONNX_SUFFIX = ".onnx"
# As much of onnx.proto as says which weights a graph lacks.
_ONNX: Declarations = {
    "ModelProto": [("graph", "GraphProto", 7)],
    "GraphProto": [("initializer", "repeated TensorProto", 5)],
    "TensorProto": [("name", "string", 8), ("data_location", "int32", 14)],
}
_EXTERNAL = 1


class OnnxModel:
    """The signatures of one model, to be called from any number of threads.

    A signature's graph is loaded when it is first asked, `serving_default` at once.

    Args:
        source: a packed generator; a folder of such files as `tintype export` writes; or one of them. None takes the
            generator that comes with Tintype.
        threads: for one request; None takes the processor's cores that this process may use.

    Attributes:
        source: where it came from.
        description: what the model says of itself.
        signatures: their names.

    Raises:
        TintypeError: there is no such model, it is damaged, or it was not exported by Tintype.
        ModuleNotFoundError: onnxruntime is not installed.
    """

    def __init__(self, source: str | PathLike[str] | None = None, *, threads: int | None = None):
        self.source = shipped_generator() if source is None else Path(source)
        self._threads = threads or len(os.sched_getaffinity(0))
        self._lock = threading.Lock()
        self._sessions: dict[str, Any] = {}
        self._graphs, self._weights = _read(self.source)
        self.signatures = tuple(sorted(self._graphs))
        if signatures.COLORIZE not in self._graphs:
            have = ", ".join(self.signatures) or "none"
            raise TintypeError(f"{self.source} holds no graph of the signature {signatures.COLORIZE!r}; it has: {have}")
        self.description = self._describe()

    def predict(
        self, signature: str, inputs: Mapping[str, NDArray[Any]], wanted: Iterable[str] = ()
    ) -> dict[str, NDArray[Any]]:
        """Ask a signature.

        Args:
            signature: its name.
            inputs: as the SavedModel's contract names them.
            wanted: which outputs; none means all. What they do not need is not computed.

        Raises:
            SignatureMissing: the model has no such signature.
            ValueError: an input is missing, too many, or of a wrong dtype or shape.
            TintypeError: the model fails.
        """
        onnxruntime = import_onnxruntime()

        session = self._session(signature)
        expected = {value.name for value in session.get_inputs()}
        if inputs.keys() != expected:
            raise ValueError(f"{signature} takes {', '.join(sorted(expected))}; received {', '.join(sorted(inputs))}")
        names = [value.name for value in session.get_outputs()]
        asked = list(wanted) or names
        if unknown := sorted(set(asked) - set(names)):
            raise ValueError(f"{signature} has no output {', '.join(unknown)}; it has {', '.join(names)}")
        options = onnxruntime.RunOptions()
        options.only_execute_path_to_fetches = True
        try:
            return dict(zip(asked, session.run(asked, dict(inputs), options), strict=True))
        except Exception as error:  # onnxruntime has many kinds, and no base of its own
            if type(error).__name__ == "InvalidArgument":
                raise ValueError(str(error)) from error
            raise TintypeError(f"the model in {self.source} fails: {error}") from error

    def _describe(self) -> ModelDescription:
        metadata = self._session(signatures.COLORIZE).get_modelmeta().custom_metadata_map
        try:
            described = json.loads(metadata[METADATA])
            description = ModelDescription(**{**described, "sides": tuple(described["sides"])})
        except (KeyError, TypeError, ValueError) as error:
            raise TintypeError(
                f"{self.source} was not exported by Tintype: its metadata does not say what it is"
            ) from error
        if not 1 <= description.stride <= description.size:
            raise TintypeError(f"{self.source} describes an impossible size: {description}")
        return description

    def _session(self, signature: str) -> Any:
        with self._lock:
            if signature not in self._sessions:
                if signature not in self._graphs:
                    raise SignatureMissing(f"the model in {self.source} has no signature {signature!r}", signature)
                self._sessions[signature] = self._loaded(self._graphs[signature])
            return self._sessions[signature]

    def _loaded(self, graph: Path | bytes) -> Any:
        onnxruntime = import_onnxruntime()

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # its warnings are about the graph, which nobody here can change
        options.intra_op_num_threads = self._threads
        try:
            if isinstance(graph, bytes):
                outside = _weights_outside(graph)
                options.add_external_initializers(outside, [self._weights[name] for name in outside])
            return onnxruntime.InferenceSession(
                graph if isinstance(graph, bytes) else str(graph), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # a weight that is not there, too
            raise TintypeError(f"the model in {self.source} does not load: {error}") from error


def _weights_outside(graph: bytes) -> list[str]:
    """Return the names of the initializers of a graph whose data lies elsewhere."""
    from google.protobuf import descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()
    file = file_of_messages("tintype/onnx.proto", "onnx", _ONNX)
    pool.AddSerializedFile(file.SerializeToString())
    model: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("onnx.ModelProto"))
    initializers = model.FromString(graph).graph.initializer
    return [tensor.name for tensor in initializers if tensor.data_location == _EXTERNAL]


def _read(source: Path) -> tuple[dict[str, Path | bytes], dict[str, Any]]:
    """Return the graphs by their signatures, and the weights that lie outside of them where onnxruntime finds none."""
    if source.is_dir():
        graphs = sorted(source.glob(f"*{ONNX_SUFFIX}"))
        if not graphs:
            raise TintypeError(f"there is no {ONNX_SUFFIX} file in {source}")
        return {graph.stem: graph for graph in graphs}, {}
    if not source.is_file():
        raise TintypeError(f"there is no model {source}: no such file or folder")
    if zipfile.is_zipfile(source):
        return _read_packed(source)
    return {signatures.COLORIZE: source}, {}


def _read_packed(file: Path) -> tuple[dict[str, Path | bytes], dict[str, Any]]:
    onnxruntime = import_onnxruntime()

    graphs, weights = packed_members(file)
    if not graphs:
        raise TintypeError(f"the generator {file} has no graph for onnxruntime; pack it again with `tintype pack`")
    return dict(graphs), {key: onnxruntime.OrtValue.ortvalue_from_numpy(array) for key, array in weights.items()}
