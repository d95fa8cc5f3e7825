"""Convolutions whose kernels are divided by their largest singular value (Miyato et al. 2018).

The kernel that is trained stays as it is and the division happens in the forward pass, so that the gradient flows
through the singular value as in the paper. keras.layers.SpectralNormalization instead overwrites the kernel with its
normalised self, which a distribution strategy does not allow inside a replica.
"""

from typing import Any

import keras
from keras import ops


class SpectralNormalization(keras.layers.Layer):
    """Mixed into a convolution: a left singular vector as state, refined by power iterations while training."""

    def __init__(self, *args: Any, power_iterations: int, seed: int, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.power_iterations = power_iterations
        self.seed = seed

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        """As in Keras, but in 32 bits whatever the layer computes in: 16 are too few for a power iteration."""
        return super().add_weight(*args, **kwargs | {"autocast": False})

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the convolution's weights and the vector."""
        super().build(input_shape)
        self.left_vector = self.add_weight(
            shape=(1, self.kernel.shape[-1]),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02, seed=self.seed),
            trainable=False,
            name="left_vector",
            aggregation="only_first_replica",
        )

    def normalized_kernel(self, training: bool) -> Any:
        """The kernel divided by its spectral norm, that of the matrix [height * width * next-to-last, last]."""
        matrix = ops.reshape(self.kernel, (-1, self.kernel.shape[-1]))
        # The vectors are constants for the gradient: only sigma = v W u depends on the kernel.
        fixed = ops.stop_gradient(matrix)
        left = ops.convert_to_tensor(self.left_vector)
        for _ in range(self.power_iterations if training else 1):
            # The vectors are turned, never the matrix, which would be copied.
            right = _unit(ops.matmul(fixed, ops.transpose(left)))
            left = _unit(ops.matmul(ops.transpose(right), fixed))
        if training:
            self.left_vector.assign(left)
        sigma = ops.sum(ops.matmul(ops.transpose(right), matrix) * left)
        return ops.cast(self.kernel / (sigma + 1e-12), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """As in Keras, with the arguments of its own."""
        return {**super().get_config(), "power_iterations": self.power_iterations, "seed": self.seed}


def _unit(vector: Any) -> Any:
    return vector / (ops.norm(vector) + 1e-12)


class SpectralConv2D(SpectralNormalization, keras.layers.Conv2D):
    """Conv2D under spectral normalisation; `power_iterations` a training step."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Convolve [N, H, W, C] with the normalised kernel."""
        outputs = ops.conv(inputs, self.normalized_kernel(training), strides=self.strides, padding=self.padding)
        return outputs + ops.cast(self.bias, self.compute_dtype) if self.use_bias else outputs


class SpectralConv2DTranspose(SpectralNormalization, keras.layers.Conv2DTranspose):
    """Conv2DTranspose under spectral normalisation; `power_iterations` a training step."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Transposed convolution of [N, H, W, C] with the normalised kernel."""
        outputs = ops.conv_transpose(
            inputs, self.normalized_kernel(training), strides=self.strides, padding=self.padding
        )
        return outputs + ops.cast(self.bias, self.compute_dtype) if self.use_bias else outputs
