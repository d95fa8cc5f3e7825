"""The exported SavedModel: one client contract whatever the recipe.

Signatures:
    serving_default: L float32 [N, H, W, 1], L* 0..100 -> ab float32 [N, H, W, 2], a*b* in their own units.
    colorize_bytes: encoded photographs, string [N] -> image_bytes, upright colour JPEGs of the same sizes, string [N].
    variants, of a recipe with dropout or hints: L as above, seed int32 [N] -> ab; another seed, another plausible
        colouring.
    guided, of a recipe with hints: L as above, hints float32 [N, H, W, 3], a*b* and 1 where there is one -> ab, and
        likely_colors float32 [N, H / 4, W / 4, 8, 2], likely_shares [N, H / 4, W / 4, 8], uncertainty [N, H, W, 1].
    describe: string [N], ignored -> per row recipe, size (side trained at), stride (the sides' divisor), fingerprint,
        and of a recipe with hints hints (1).
"""

import hashlib
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.trainer import color
from components.trainer.color_bins import color_bins
from components.trainer.color_distribution import color_spread, likely_colors
from components.trainer.colorings import color_photos
from components.trainer.config import PretrainedUNetConfig, TrainerConfig
from components.trainer.guided_colorings import guided_colors
from components.trainer.network_range import NetworkRange
from components.trainer.networks.blocks import enlarge, innermost_layers
from components.trainer.networks.build import build_plain_generator
from components.trainer.networks.pretrained_unet import BINS_STRIDE
from components.trainer.networks.spectral_normalization import SpectralNormalization
from components.trainer.upright import turn_upright
from serving.model import signatures

JPEG_QUALITY = 92
LIKELY_COLORS = 8
"""How many colours a guided model names for each place."""


def export_saved_model(
    generator: keras.Model, config: TrainerConfig, folder: str, *, warmup_photo: NDArray[np.uint8]
) -> None:
    """Write `generator` with the serving contract.

    Args:
        generator: the network to serve; it is not changed.
        config: the recipe it was trained by.
        folder: where saved_model.pb goes.
        warmup_photo: uint8 [S, S, 3], sent to every signature when a server loads the model.
    """
    plain = without_spectral_normalization(generator, config)
    servable = _servable(plain, config)
    functions = {
        signatures.COLORIZE: servable.colorize_lightness,
        signatures.COLORIZE_BYTES: servable.colorize_bytes,
        signatures.DESCRIBE: servable.describe,
    }
    if isinstance(servable, VaryingServable):
        functions[signatures.VARIANTS] = servable.colorize_variant
    if isinstance(servable, GuidedServable):
        functions[signatures.GUIDED] = servable.colorize_guided
    tf.saved_model.save(servable, folder, signatures=functions)
    _write_warmup_requests(folder, warmup_photo, functions)


def _servable(plain: keras.Model, config: TrainerConfig) -> "Servable":
    generator = config.network.generator
    if isinstance(generator, PretrainedUNetConfig):
        return GuidedServable(plain, config, generator)
    return VaryingServable(plain, config) if generator.varies else Servable(plain, config)


def without_spectral_normalization(generator: keras.Model, config: TrainerConfig) -> keras.Model:
    """The same function with every kernel divided once and for all, so that no request pays for power iterations."""
    plain = build_plain_generator(config)
    for layer, trained in zip(innermost_layers(plain), innermost_layers(generator), strict=True):
        if isinstance(trained, SpectralNormalization):
            kernel = trained.normalized_kernel(training=False).numpy()
            layer.set_weights([kernel, trained.bias.numpy()] if layer.use_bias else [kernel])
        else:
            layer.set_weights(trained.get_weights())
    return plain


def weights_fingerprint(model: keras.Model) -> str:
    """Sixteen hexadecimal digits that change with any weight."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()[:16]


class Servable(tf.Module):
    """A generator in the form that is served; scaling to the network's range happens inside the graph."""

    def __init__(self, generator: keras.Model, config: TrainerConfig):
        super().__init__()
        self.generator = generator
        self._network = config.network
        self._range = NetworkRange(config.network)
        self._recipe = config.recipe
        self._size = config.size
        self._stride = config.network.generator.stride
        self._fingerprint = weights_fingerprint(generator)

    def _ab(self, lightness: tf.Tensor, seeds: tf.Tensor | None = None) -> tf.Tensor:
        return self._range.ab(color_photos(self.generator, self._network, self._range.gray(lightness), seeds))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32, name=signatures.LIGHTNESS)])
    def colorize_lightness(self, L: tf.Tensor) -> dict[str, tf.Tensor]:  # noqa: N803
        """The signature serving_default."""
        return {signatures.AB: self._ab(L)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=signatures.BYTES)])
    def colorize_bytes(self, bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """The signature colorize_bytes. Results are upright; colour profiles are the thin client's business."""
        return {signatures.IMAGE_BYTES: tf.map_fn(self._colorize_one, bytes, fn_output_signature=tf.string)}

    def _colorize_one(self, encoded: tf.Tensor) -> tf.Tensor:
        rgb = tf.io.decode_image(encoded, channels=3, dtype=tf.uint8, expand_animations=False)
        rgb = turn_upright(rgb, encoded)
        rgb.set_shape([None, None, 3])
        lightness = color.rgb_to_lab(tf.cast(rgb, tf.float32) / 255.0)[..., :1]
        height, width = tf.unstack(tf.shape(rgb)[:2])
        # Fit into the square the network knows, the edge pixels repeated around it.
        scale = self._size / tf.maximum(height, width)
        inner_height = tf.maximum(1, tf.cast(tf.round(tf.cast(height, tf.float64) * scale), tf.int32))
        inner_width = tf.maximum(1, tf.cast(tf.round(tf.cast(width, tf.float64) * scale), tf.int32))
        small = tf.image.resize(lightness, [inner_height, inner_width], antialias=True)
        top, left = (self._size - inner_height) // 2, (self._size - inner_width) // 2
        square = tf.gather(small, tf.clip_by_value(tf.range(self._size) - top, 0, inner_height - 1), axis=0)
        square = tf.gather(square, tf.clip_by_value(tf.range(self._size) - left, 0, inner_width - 1), axis=1)
        ab = self._ab(square[None])[0, top : top + inner_height, left : left + inner_width]
        lab = tf.concat([lightness, tf.image.resize(ab, [height, width])], axis=-1)
        colored = tf.cast(tf.round(color.lab_to_rgb(lab) * 255.0), tf.uint8)
        return tf.io.encode_jpeg(colored, quality=JPEG_QUALITY)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=signatures.NAME)])
    def describe(self, name: tf.Tensor) -> dict[str, tf.Tensor]:
        """The signature describe; it takes an input because batching refuses a signature without one."""
        return self._description(name)

    def _description(self, name: tf.Tensor) -> dict[str, tf.Tensor]:
        count = tf.shape(name)[:1]
        return {
            "recipe": tf.fill(count, self._recipe),
            "size": tf.fill(count, self._size),
            "stride": tf.fill(count, self._stride),
            "fingerprint": tf.fill(count, self._fingerprint),
        }


class VaryingServable(Servable):
    """A generator with dropout or hints: it can give several plausible colourings of one photo."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 1], tf.float32, name=signatures.LIGHTNESS),
            tf.TensorSpec([None], tf.int32, name=signatures.SEED),
        ]
    )
    def colorize_variant(self, L: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:  # noqa: N803
        """The signature variants."""
        return {signatures.AB: self._ab(L, seed)}


class GuidedServable(VaryingServable):
    """A generator that takes hints."""

    def __init__(self, generator: keras.Model, config: TrainerConfig, guided: PretrainedUNetConfig):
        super().__init__(generator, config)
        self._guided = guided

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 1], tf.float32, name=signatures.LIGHTNESS),
            tf.TensorSpec([None, None, None, 3], tf.float32, name=signatures.HINTS),
        ]
    )
    def colorize_guided(self, L: tf.Tensor, hints: tf.Tensor) -> dict[str, tf.Tensor]:  # noqa: N803
        """The signature guided."""
        gray, mirror = self._range.gray(L), self._network.mirror
        color, logits = guided_colors(self.generator, self._guided, gray, self._range.hints(hints), mirror=mirror)
        bins = tf.constant(color_bins(self._guided.bin_spacing))
        colors, shares = likely_colors(logits, bins, LIKELY_COLORS)
        return {
            signatures.AB: self._range.ab(color),
            signatures.LIKELY_COLORS: colors,
            signatures.LIKELY_SHARES: shares,
            signatures.UNCERTAINTY: enlarge(color_spread(logits, bins), BINS_STRIDE),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=signatures.NAME)])
    def describe(self, name: tf.Tensor) -> dict[str, tf.Tensor]:
        """The signature describe, which says that hints are taken."""
        return {**self._description(name), "hints": tf.fill(tf.shape(name)[:1], 1)}


def _write_warmup_requests(folder: str, photo: NDArray[np.uint8], names: Iterable[str]) -> None:
    """TensorFlow Serving replays these before it calls a version available."""
    from tensorflow_serving.apis import prediction_log_pb2

    lightness = color.rgb_to_lab(tf.cast(photo, tf.float32)[None] / 255.0)[..., :1]
    requests = {
        signatures.COLORIZE: {signatures.LIGHTNESS: lightness},
        signatures.COLORIZE_BYTES: {signatures.BYTES: tf.io.encode_jpeg(photo)[None]},
        signatures.DESCRIBE: {signatures.NAME: tf.constant(["warm-up"])},
        signatures.VARIANTS: {signatures.LIGHTNESS: lightness, signatures.SEED: tf.constant([0])},
        signatures.GUIDED: {signatures.LIGHTNESS: lightness, signatures.HINTS: tf.zeros([1, *photo.shape])},
    }
    tf.io.gfile.makedirs(f"{folder}/assets.extra")
    with tf.io.TFRecordWriter(f"{folder}/assets.extra/tf_serving_warmup_requests") as writer:
        for signature in names:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = "warm-up"
            request.model_spec.signature_name = signature
            for name, value in requests[signature].items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())
