"""What a run came to: the record that it leaves as training.json."""

import dataclasses


@dataclasses.dataclass
class TrainingSummary:
    """What a run came to; written as training.json beside the curves.

    Attributes:
        resumed_at: the step of the checkpoint that the run went on from; 0 for a run in one piece.
        seconds: of training, those before a resumption included, measurements not.
        images_per_second: of this process, from its second step on, with all that it did beside training.
        stopped: `finished`, `time` (max_minutes were over), or `diverged` or `collapsed` (the last good weights were
            kept).
        history: a row per measurement: step, seconds, every mean loss since the last, and the figures of `measure`.
    """

    recipe: str
    strategy: str
    precision: str
    photos: int
    resumed_at: int = 0
    steps: int = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    generator_parameters: int = 0
    discriminator_parameters: int = 0
    stopped: str = "finished"
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
