import json

import pytest
import tensorflow as tf

from components.trainer.strategy import choose_strategy, require_gpu
from photo.errors import TintypeError


def test_without_a_gpu_the_cpu_is_the_one_device():
    strategy, why = choose_strategy()
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
    assert "CPU" in why


def test_a_tf_config_with_one_worker_changes_nothing(monkeypatch):
    cluster = {"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    assert isinstance(choose_strategy()[0], tf.distribute.OneDeviceStrategy)


def test_several_workers_without_tf_config_are_refused(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(TintypeError, match="needs TF_CONFIG"):
        choose_strategy("multi_worker_mirrored")


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_a_gpu_that_is_required_and_missing_is_said_at_once():
    with pytest.raises(TintypeError, match="a GPU is required, and TensorFlow sees none"):
        require_gpu()
