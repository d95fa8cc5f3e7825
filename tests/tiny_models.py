"""Small SavedModels that keep the serving contract, so that servers, clients and gates are tested without training."""

from pathlib import Path


def write_tiny_model(
    folder: Path,
    *,
    ab: tuple[float, float] = (20.0, -30.0),
    size: int = 32,
    fingerprint: str = "tiny",
    variants: bool = False,
) -> Path:
    """Write a SavedModel whose colour is the constant `ab` scaled by L/100. Returns `folder`.

    With `variants` it has the signature of that name too, in which `ab` is turned by the seed, in radians.
    """
    import tensorflow as tf

    class Tiny(tf.Module):
        def __init__(self):
            super().__init__()
            self.ab = tf.Variable(ab, dtype=tf.float32)

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32, name="L")])
        def colorize(self, L):  # noqa: N803
            return {"ab": L / 100.0 * self.ab}

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None, None, 1], tf.float32, name="L"),
                tf.TensorSpec([None], tf.int32, name="seed"),
            ]
        )
        def colorize_variants(self, L, seed):  # noqa: N803
            angle = tf.cast(seed, tf.float32)
            a, b = tf.unstack(self.ab)
            turned = tf.stack([a * tf.cos(angle) - b * tf.sin(angle), a * tf.sin(angle) + b * tf.cos(angle)], axis=-1)
            return {"ab": L / 100.0 * turned[:, None, None, :]}

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
    signatures = {"serving_default": tiny.colorize, "describe": tiny.describe}
    if variants:
        signatures["variants"] = tiny.colorize_variants
    tf.saved_model.save(tiny, str(folder), signatures=signatures)
    return folder
