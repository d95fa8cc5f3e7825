"""Writes a SavedModel's signatures as files of ONNX, for any engine that reads them. Imports TensorFlow and tf2onnx."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photo.whole_file import whole_folder, write_whole
from serving.model import signatures
from serving.model.half_precision import half_precision
from serving.model.onnx_graphs import onnx_graphs
from serving.model.onnx_model import ONNX_SUFFIX

WEIGHTS_FILE = "weights.bin"

_ALIGNMENT = 4096  # so that the file can be mapped into memory


def export_onnx(model_dir: str, out: Path, *, half: bool = False) -> list[Path]:
    """Write a model's signatures as ONNX.

    Args:
        model_dir: the folder of saved_model.pb.
        out: a folder for a file per signature (`serving_default.onnx`; `guided.onnx` where the model takes hints) and
            the weights, which lie once, in `weights.bin` beside them; or the name of one file, `*.onnx`, for
            `serving_default` with the weights inside.
        half: the weights are stored in half the bytes, as float16; engines compute in float32 all the same. The
            generator that comes along is of such weights already and loses nothing.

    Returns:
        The files.

    Raises:
        TintypeError: as `onnx_graphs`; weights are beyond float16; or nothing can be written there.
    """
    from onnx import numpy_helper

    graphs = onnx_graphs(model_dir)
    arrays = {
        key: half_precision(key, array) if half else array for graph in graphs for key, array in graph.weights.items()
    }
    if out.suffix == ONNX_SUFFIX:
        [graph] = [graph for graph in graphs if graph.signature == signatures.COLORIZE]
        tensors = {key: numpy_helper.from_array(arrays[key]) for key in graph.weights}
        write_whole(out, graph.with_weights(tensors).SerializeToString(deterministic=True))
        return [out]
    with whole_folder(out) as folder:
        placed = _write_weights(folder / WEIGHTS_FILE, arrays)
        for graph in graphs:
            data = graph.with_weights(placed).SerializeToString(deterministic=True)
            (folder / f"{graph.signature}{ONNX_SUFFIX}").write_bytes(data)
    return sorted(out.iterdir())


def _write_weights(file: Path, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Write arrays one behind the other; return for each an onnx.TensorProto that says where it lies."""
    from onnx import TensorProto, helper

    tensors = {}
    with open(file, "wb") as written:
        for key, array in sorted(arrays.items()):
            content = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
            written.write(bytes(-written.tell() % _ALIGNMENT if len(content) >= _ALIGNMENT else -written.tell() % 16))
            tensor = TensorProto(data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape)
            tensor.data_location = TensorProto.EXTERNAL
            for name, value in (("location", file.name), ("offset", written.tell()), ("length", len(content))):
                tensor.external_data.add(key=name, value=str(value))
            written.write(content)
            tensors[key] = tensor
    return tensors
