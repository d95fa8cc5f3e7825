"""Writes files as PyTorch did before 1.6, without PyTorch."""

import io
import pickle
import sys
import types
from unittest import mock

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
SIZES = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


class FloatStorage:
    """Stands for PyTorch's."""


def rebuild_tensor(*arguments):
    """Stands for PyTorch's."""
    return arguments


FloatStorage.__module__, FloatStorage.__qualname__ = "torch", "FloatStorage"
rebuild_tensor.__module__, rebuild_tensor.__qualname__ = "torch._utils", "_rebuild_tensor_v2"


class Tensor:
    """A tensor that is pickled like PyTorch's."""

    def __init__(self, elements, offset, shape, strides):
        self.elements, self.view = np.asarray(elements, "<f4"), (offset, shape, strides)

    def __reduce__(self):
        return rebuild_tensor, (self.elements, *self.view, False, {})


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, np.ndarray):
            return ("storage", FloatStorage, str(id(value)), "cpu", len(value), None)
        return None


def pytorch_file(state, *, magic=MAGIC):
    """The bytes of a file that holds `state`; its tensors are `Tensor`s."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage, utils._rebuild_tensor_v2 = FloatStorage, rebuild_tensor  # noqa: SLF001
    storages = {str(id(value.elements)): value.elements for value in state.values() if isinstance(value, Tensor)}
    file = io.BytesIO()
    with mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        for part in (magic, PROTOCOL, SIZES, state, list(storages)):
            Pickler(file, protocol=2).dump(part)
    for elements in storages.values():
        file.write(len(elements).to_bytes(8, "little") + elements.tobytes())
    return file.getvalue()
