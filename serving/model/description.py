"""What a served model says of itself through its signature `describe`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photo.coloring_options import LARGEST_SIDE
from photo.errors import TintypeError


@dataclass(frozen=True)
class ModelDescription:
    """What a served model says of itself.

    Attributes:
        recipe: name of the recipe it was trained with.
        size: side in pixels it was trained at; the client sends squares of it.
        stride: divisor of the sides it accepts.
        fingerprint: identifies the trained model.
        sides: that it says it takes well, in pixels; none where it does not say.
        hints: whether it says that it takes hints; a model that does not say so may take them.
    """

    recipe: str
    size: int
    stride: int
    fingerprint: str
    sides: tuple[int, ...] = ()
    hints: bool = False

    def sides_to_ask(self, render: tuple[int, ...] | None) -> list[int]:
        """Return the sides at which the model is to be asked, the largest first; without `render` its own.

        Raises:
            TintypeError: the model takes no such side.
        """
        if render is None:
            return [self.size]
        for side in render:
            if side % self.stride or (side > LARGEST_SIDE and side not in self.sides):
                best = f" (best: {', '.join(map(str, self.sides))})" if self.sides else ""
                raise TintypeError(
                    f"render: the model takes multiples of {self.stride} up to {LARGEST_SIDE}{best}, received {side}"
                )
        return sorted(render, reverse=True)

    def outputs(self) -> dict[str, NDArray[Any]]:
        """Return what `describe` answers for one row; the reverse of `from_outputs`."""
        words = (self.recipe, self.fingerprint, ",".join(map(str, self.sides)))
        recipe, fingerprint, sides = (np.array([text.encode()], object) for text in words)
        size, stride, hints = (np.array([number], np.int32) for number in (self.size, self.stride, self.hints))
        named = {"recipe": recipe, "size": size, "stride": stride, "fingerprint": fingerprint}
        return {**named, "sides": sides, "hints": hints}

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> "ModelDescription":
        """Read the first row of what `describe` answered.

        Args:
            outputs: an array [N] for each attribute, of bytes or of integers; the last two may be absent. `sides` are
                bytes, with commas between.

        Raises:
            AttributeError, IndexError, KeyError, TypeError, ValueError: it is no such answer.
        """
        sides = outputs["sides"][0].decode() if "sides" in outputs else ""
        return cls(
            recipe=outputs["recipe"][0].decode(),
            size=int(outputs["size"][0]),
            stride=int(outputs["stride"][0]),
            fingerprint=outputs["fingerprint"][0].decode(),
            sides=tuple(int(side) for side in sides.split(",")) if sides else (),
            hints=bool(outputs["hints"][0]) if "hints" in outputs else False,
        )
