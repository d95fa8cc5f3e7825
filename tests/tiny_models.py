"""Small SavedModels that keep the serving contract, so that servers, clients and gates are tested without training."""

from pathlib import Path


def write_tiny_model(
    folder: Path,
    *,
    ab: tuple[float, float] = (20.0, -30.0),
    size: int = 32,
    fingerprint: str = "tiny",
    variants: bool = False,
    guided: bool = False,
    stride: int = 1,
) -> Path:
    """Write a SavedModel whose colour is the constant `ab` scaled by L/100. Returns `folder`.

    With `variants` it has the signature of that name too, in which `ab` is turned by the seed, in radians. With
    `guided`, in which the colour of a hint spreads to all pixels that are nearer to it than a quarter of the side; of
    the likely colours the first is `ab` and each further one twice as far from gray, with shares of 1/2, 1/4, ...; and
    the uncertainty is L.
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

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None, None, 1], tf.float32, name="L"),
                tf.TensorSpec([None, None, None, 3], tf.float32, name="hints"),
            ]
        )
        def colorize_guided(self, L, hints):  # noqa: N803
            count, side = tf.shape(L)[0], tf.shape(L)[1]
            place = tf.cast(
                tf.reshape(tf.stack(tf.meshgrid(*[tf.range(side)] * 2, indexing="ij"), -1), [-1, 2]), "float32"
            )
            distance = tf.norm(place[:, None] - place[None], axis=-1)
            flat = tf.reshape(hints, [count, -1, 3])
            near = tf.cast(distance < tf.cast(side, tf.float32) / 4, tf.float32) * flat[:, None, :, 2]
            spread = tf.matmul(near, flat[..., :2])
            weight = tf.reduce_sum(near, -1, keepdims=True)
            ab = tf.reshape(tf.math.divide_no_nan(spread, weight), [count, side, side, 2])
            is_guided = tf.reshape(weight, [count, side, side, 1]) > 0
            small = [count, side // 4, side // 4]
            powers = 2.0 ** tf.range(8, dtype=tf.float32)
            return {
                "ab": tf.where(is_guided, ab, L / 100.0 * self.ab),
                "likely_colors": tf.broadcast_to(powers[:, None] * self.ab, [*small, 8, 2]),
                "likely_shares": tf.broadcast_to(0.5 / powers, [*small, 8]),
                "uncertainty": tf.identity(L),
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="name")])
        def describe(self, name):
            count = tf.shape(name)[:1]
            return {
                "recipe": tf.fill(count, "tiny"),
                "size": tf.fill(count, size),
                "stride": tf.fill(count, stride),
                "fingerprint": tf.fill(count, fingerprint),
            }

    tiny = Tiny()
    signatures = {"serving_default": tiny.colorize, "describe": tiny.describe}
    if variants:
        signatures["variants"] = tiny.colorize_variants
    if guided:
        signatures["guided"] = tiny.colorize_guided
    tf.saved_model.save(tiny, str(folder), signatures=signatures)
    return folder
