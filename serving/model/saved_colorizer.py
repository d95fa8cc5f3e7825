"""A SavedModel asked through its serving signatures, in this process: what a server would answer, without one."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from photo.errors import SignatureMissing, TintypeError
from serving.model import signatures
from serving.model.description import ModelDescription
from serving.model.saved_model import LoadedModel


class SavedColorizer:
    """Loads a SavedModel that keeps the serving contract and runs its `serving_default` signature.

    Args:
        model_dir: the folder of `saved_model.pb`, on any file system TensorFlow knows.

    Attributes:
        description: what the model says of itself.

    Raises:
        TintypeError: the model does not load, lacks a signature, or cannot colour one square of its own size.
    """

    def __init__(self, model_dir: str):
        self._model_dir = model_dir
        try:
            self._signatures = LoadedModel(model_dir).signatures
        except Exception as error:  # TensorFlow meets broken files with many kinds of exception
            raise TintypeError(f"the model in {model_dir} does not load: {error}") from error
        for name in (signatures.COLORIZE, signatures.DESCRIBE):
            if name not in self._signatures:
                have = ", ".join(sorted(self._signatures)) or "none"
                raise TintypeError(f"the model in {model_dir} has no signature {name!r}; it has: {have}")
        self.description = self._describe()
        self.predict_ab(np.full((1, self.description.size, self.description.size, 1), 50.0, np.float32))

    def _describe(self) -> ModelDescription:
        try:
            answer = self._signatures[signatures.DESCRIBE]({signatures.NAME: tf.constant(["who"])})
            described = ModelDescription.from_outputs({name: tensor.numpy() for name, tensor in answer.items()})
        except Exception as error:
            raise TintypeError(f"the model in {self._model_dir} cannot describe itself: {error}") from error
        if described.stride < 1 or described.size < 1 or described.size % described.stride:
            raise TintypeError(
                f"the model in {self._model_dir} describes size {described.size} and stride {described.stride}; "
                "expected a positive size that the stride divides"
            )
        return described

    @property
    def varies(self) -> bool:
        """Whether the model gives several colourings of one photo."""
        return signatures.VARIANTS in self._signatures

    @property
    def takes_hints(self) -> bool:
        """Whether the model can be guided by hints."""
        return signatures.GUIDED in self._signatures

    def predict_ab(
        self, lightness: NDArray[np.float32], hints: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Predict colours.

        Args:
            lightness: L*, float32 [N, H, W, 1], 0..100.
            hints: colours asked for, float32 [N, H, W, 3]: a*, b* and a mask of 0 or 1.

        Returns:
            a*b* as the model gives them, float32 [N, H, W, 2], CIE units; possibly not finite.

        Raises:
            TintypeError: the model fails, or answers with another shape; SignatureMissing, one of them, where it takes
                no hints.
        """
        if hints is None:
            return self._predict(signatures.COLORIZE, lightness)
        if not self.takes_hints:
            raise SignatureMissing(
                f"the model in {self._model_dir} takes no hints: it has no signature {signatures.GUIDED!r}",
                signatures.GUIDED,
            )
        return self._predict(signatures.GUIDED, lightness, {signatures.HINTS: tf.constant(hints)})

    def predict_variants(self, lightness: NDArray[np.float32], seeds: NDArray[np.int32]) -> NDArray[np.float32]:
        """Predict the colours that each row's seed stands for; `seeds` is int32 [N], the rest as in `predict_ab`."""
        return self._predict(signatures.VARIANTS, lightness, {signatures.SEED: tf.constant(seeds)})

    def _predict(
        self, signature: str, lightness: NDArray[np.float32], more: dict[str, tf.Tensor] | None = None
    ) -> NDArray[np.float32]:
        try:
            outputs = self._signatures[signature]({signatures.LIGHTNESS: tf.constant(lightness), **(more or {})})
            ab: NDArray[np.float32] = outputs[signatures.AB].numpy()
        except Exception as error:
            raise TintypeError(
                f"the model in {self._model_dir} cannot colour a batch of shape {lightness.shape}: {error}"
            ) from error
        if ab.shape != (*lightness.shape[:3], 2):
            raise TintypeError(
                f"the model in {self._model_dir} answered ab of shape {ab.shape}, expected {(*lightness.shape[:3], 2)}"
            )
        return ab
