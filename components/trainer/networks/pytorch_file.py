"""Reads the tensors of a file that PyTorch wrote, without PyTorch, and runs nothing that stands in it.

The format is that of `torch.save` before PyTorch 1.6 (torch/serialization.py, `_legacy_save`): four pickles (a magic
number, the protocol, sizes of types, the object, in which every storage is a persistent id), a pickle of the storages'
keys, and for each key its number of elements (int64) and the elements themselves, all little-endian.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
# The classes of storages that are understood, with NumPy's name of their elements.
_DTYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8"}


@dataclass(frozen=True)
class _Storage:
    """Elements that tensors are views of."""

    dtype: str
    key: str
    count: int


@dataclass(frozen=True)
class _View:
    """A tensor: which elements of a storage it has."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, elements: NDArray[Any]) -> NDArray[Any]:
        """The tensor, copied out of its storage's elements."""
        parts = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or not all(isinstance(part, int) and part >= 0 for part in parts):
            raise ValueError(f"a tensor of the shape {self.shape} has the strides {self.strides}")
        last = self.offset + sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))
        if 0 not in self.shape and last >= len(elements):
            raise ValueError(f"a tensor ends at element {last} of a storage of {len(elements)}")
        strides = [stride * elements.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(elements[self.offset :], self.shape, strides, writeable=False)
        return np.ascontiguousarray(view)


class _Unpickler(pickle.Unpickler):
    """Knows the parts of tensors and nothing else: whatever else a pickle asks for is refused, and not imported."""

    def find_class(self, module: str, name: str) -> Callable[..., Any] | type | str:
        """The few names that a file of tensors needs."""
        match module, name:
            case "collections", "OrderedDict":
                return OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return _rebuild_tensor
            case "torch", _ if name in _DTYPES:
                return name  # the class of a storage, which a persistent id names and nothing calls
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of a tensor")

    def persistent_load(self, identifier: Any) -> _Storage:
        """("storage", its class, its key, where it was, its number of elements, None)."""
        match identifier:
            case ("storage", str(kind), str(key), str(), int(count), None) if kind in _DTYPES and count >= 0:
                return _Storage(_DTYPES[kind], key, count)
        raise pickle.UnpicklingError("a storage is described in an unknown way")


def _rebuild_tensor(storage: _Storage, offset: int, shape: Any, strides: Any, *_: object) -> _View:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor has no storage")
    return _View(storage, offset, tuple(shape), tuple(strides))


def read_pytorch_file(content: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a state dict, by their names, in the dtypes that they were written in.

    Args:
        content: of the file.

    Raises:
        ValueError: it is no such file, is damaged, or holds anything but tensors.
    """
    file = io.BytesIO(content)
    try:
        if _Unpickler(file).load() != _MAGIC or _Unpickler(file).load() != _PROTOCOL:
            raise ValueError("it does not begin with PyTorch's magic number")
        sizes, views, keys = (_Unpickler(file).load() for _ in range(3))
        if not sizes["little_endian"]:
            raise ValueError("it was written on a big-endian machine")
        if not isinstance(views, dict) or not all(isinstance(view, _View) for view in views.values()):
            raise ValueError("it holds something else than named tensors")
        storages = {view.storage.key: view.storage for view in views.values()}
        elements = {key: _read_elements(file, storages[key]) for key in keys}
        return {str(name): view.of(elements[view.storage.key]) for name, view in views.items()}
    except ValueError:
        raise
    # A hostile pickle is a program for the unpickler's machine: what it trips over may be of any kind.
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from error


def _read_elements(file: io.BytesIO, storage: _Storage) -> NDArray[Any]:
    count = int.from_bytes(file.read(8), "little", signed=True)
    if count != storage.count:
        raise ValueError(f"a storage of {storage.count} elements says that it has {count}")
    dtype = np.dtype(storage.dtype)
    data = file.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise ValueError("it ends before its last tensor")
    return np.frombuffer(data, dtype)
