"""What a served model says of itself through its signature `describe`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelDescription:
    """What a served model says of itself.

    Attributes:
        recipe: name of the recipe it was trained with.
        size: side in pixels it was trained at; the client sends squares of it.
        stride: divisor of the sides it accepts.
        fingerprint: identifies the trained model.
    """

    recipe: str
    size: int
    stride: int
    fingerprint: str

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> "ModelDescription":
        """Read the first row of what `describe` answered.

        Args:
            outputs: an array [N] for each attribute, of bytes or of integers.

        Raises:
            AttributeError, IndexError, KeyError, TypeError, ValueError: it is no such answer.
        """
        return cls(
            recipe=outputs["recipe"][0].decode(),
            size=int(outputs["size"][0]),
            stride=int(outputs["stride"][0]),
            fingerprint=outputs["fingerprint"][0].decode(),
        )
