"""What the networks see of a photograph and what their output means: the two colour spaces of the recipes."""

from collections.abc import Callable

import tensorflow as tf

from components.trainer import color
from components.trainer.config import NetworkConfig


class NetworkRange:
    """Scales between photographs and the networks' numbers.

    `lab`: the gray photo is L/50 - 1 and the colour ab/127.5. `rgb`: both are sRGB, in -1..1, or in 0..1 where the
    generator's last activation gives no negative numbers; gray is the photo of the same L* without chroma, so that
    training sees exactly what serving makes of L*.

    Args:
        network: the recipe's networks.
    """

    def __init__(self, network: NetworkConfig):
        self._is_lab = network.color_space == "lab"
        self._gray_channels = network.gray_channels
        self._saturation = network.saturation
        self._signed = getattr(network.generator, "output_activation", "tanh") == "tanh"

    def split(
        self, rgb: tf.Tensor, spoil: Callable[[tf.Tensor], tf.Tensor] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A true photo, sRGB float32 [N, H, W, 3] in 0..1 -> gray [N, H, W, g] and colour [N, H, W, c].

        Args:
            rgb: the photographs.
            spoil: changes the lightness, [N, H, W, 1] in 0..100, of which gray is made, and nothing else.
        """
        lab = color.rgb_to_lab(rgb)
        lightness = spoil(lab[..., :1]) if spoil else lab[..., :1]
        target = lab[..., 1:] / 127.5 if self._is_lab else self._from_unit(rgb)
        return self.gray(lightness), target

    def gray(self, lightness: tf.Tensor) -> tf.Tensor:
        """L* 0..100, float32 [N, H, W, 1] -> what the networks see, [N, H, W, g]."""
        if self._is_lab:
            gray = lightness / 50.0 - 1.0
        else:
            neutral = tf.concat([lightness, tf.zeros_like(lightness), tf.zeros_like(lightness)], axis=-1)
            gray = self._from_unit(color.lab_to_rgb(neutral)[..., :1])
        return tf.repeat(gray, self._gray_channels, axis=-1)

    def hints(self, hints: tf.Tensor) -> tf.Tensor:
        """Hints, float32 [N, H, W, 3]: a*b* in CIE units and 1, or 0 where there is none -> what the networks see."""
        mask = hints[..., 2:]
        return tf.concat([tf.where(mask > 0, hints[..., :2] / 127.5, 0.0), mask], axis=-1)

    def from_steps(self, difference: float) -> float:
        """A difference in CIE units of a*b*, or in 8-bit steps of sRGB -> the same in the networks' numbers."""
        return difference / 127.5 if self._is_lab or self._signed else difference / 255.0

    def ab(self, output: tf.Tensor) -> tf.Tensor:
        """The generator's output [N, H, W, c] -> a*b* in CIE units, float32 [N, H, W, 2], times the saturation.

        Of an sRGB output only the chroma is kept: the photo's own L* takes the place of the generated one.
        """
        if self._is_lab:
            return output * (127.5 * self._saturation)
        unit = (output + 1.0) / 2.0 if self._signed else output
        return color.rgb_to_lab(tf.clip_by_value(unit, 0.0, 1.0))[..., 1:] * self._saturation

    def chroma(self, output: tf.Tensor) -> tf.Tensor:
        """The part of an output that is colour: all of a*b*; of sRGB what remains beside each pixel's mean."""
        return output if self._is_lab else output - tf.reduce_mean(output, axis=-1, keepdims=True)

    def _from_unit(self, values: tf.Tensor) -> tf.Tensor:
        return values * 2.0 - 1.0 if self._signed else values
