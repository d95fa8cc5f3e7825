"""A SavedModel in this process, asked as a server would be."""

import numpy as np
import pytest

from photo.errors import TintypeError
from serving.model.description import ModelDescription
from serving.model.saved_colorizer import SavedColorizer
from tests.tiny_models import write_tiny_model


def test_it_describes_itself_and_gives_the_models_colours(tmp_path):
    model = SavedColorizer(str(write_tiny_model(tmp_path / "model", size=16)))
    assert model.description == ModelDescription("tiny", 16, 1, "tiny")
    assert not model.varies
    ab = model.predict_ab(np.full((2, 16, 16, 1), 50, np.float32))
    np.testing.assert_allclose(ab, np.broadcast_to(np.float32([10, -15]), (2, 16, 16, 2)), rtol=1e-5)


def test_a_model_that_cannot_be_used_is_named(tmp_path):
    import tensorflow as tf

    with pytest.raises(TintypeError, match="nowhere does not load"):
        SavedColorizer(str(tmp_path / "nowhere"))

    tf.saved_model.save(tf.Module(), str(tmp_path / "bare"))
    with pytest.raises(TintypeError, match="bare has no signature 'serving_default'; it has: none"):
        SavedColorizer(str(tmp_path / "bare"))

    with pytest.raises(TintypeError, match="describes size 0 and stride 1"):
        SavedColorizer(str(write_tiny_model(tmp_path / "sizeless", size=0)))


def test_wildcards_in_the_name_of_its_folder_are_letters(tmp_path):
    model = write_tiny_model(tmp_path / "models [1971]*" / "model", size=16)
    assert SavedColorizer(str(model)).description.size == 16
