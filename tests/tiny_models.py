"""Small SavedModels that keep the serving contract, so that servers, clients and gates are tested without training."""

from pathlib import Path


def write_tiny_model(
    folder: Path, *, ab: tuple[float, float] = (20.0, -30.0), size: int = 32, fingerprint: str = "tiny"
) -> Path:
    """Write a SavedModel whose colour is the constant `ab` scaled by L/100. Returns `folder`."""
    import tensorflow as tf

    class Tiny(tf.Module):
        def __init__(self):
            super().__init__()
            self.ab = tf.Variable(ab, dtype=tf.float32)

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32, name="L")])
        def colorize(self, L):  # noqa: N803
            return {"ab": L / 100.0 * self.ab}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="name")])
        def describe(self, name):
            count = tf.shape(name)[:1]
            return {
                "recipe": tf.fill(count, "tiny"),
                "size": tf.fill(count, size),
                "stride": tf.fill(count, 1),
                "fingerprint": tf.fill(count, fingerprint),
            }

    tiny = Tiny()
    tf.saved_model.save(tiny, str(folder), signatures={"serving_default": tiny.colorize, "describe": tiny.describe})
    return folder
