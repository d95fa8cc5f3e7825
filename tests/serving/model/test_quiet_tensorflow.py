"""Starting TensorFlow without what Keras can do without."""

import importlib

import pytest

from serving.model import quiet_tensorflow
from serving.model.quiet_tensorflow import keras_without_extras


def test_what_keras_can_do_without_is_missing_in_the_block_alone(monkeypatch, tmp_path):
    (tmp_path / "heavy_extra.py").write_text("value = 1")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(quiet_tensorflow, "_FOR_KERAS_ALONE", ("heavy_extra",))
    with keras_without_extras(), pytest.raises(ModuleNotFoundError):
        importlib.import_module("heavy_extra")
    assert importlib.import_module("heavy_extra").value == 1
    with keras_without_extras():  # what was imported before stays
        assert importlib.import_module("heavy_extra").value == 1
