"""The loss curves of a run as one picture."""

import io
from collections.abc import Sequence

import tensorflow as tf


def write_curves(history: Sequence[dict[str, float]], path: str, *, title: str) -> None:
    """Draw losses and held-out figures over the steps into a PNG at `path` (any filesystem TensorFlow knows)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    losses, scores, gain = figure.subplots(1, 3)
    steps = [row["step"] for row in history]
    panels = [
        (losses, "loss", ["generator_loss", "discriminator_loss", "adversarial_loss"]),
        (scores, "share called real", ["real_called_real", "generated_called_real"]),
        (gain, "PSNR over gray, dB (held out)", ["psnr_gain_db"]),
    ]
    for axes, label, names in panels:
        for name in names:
            axes.plot(steps, [row[name] for row in history], label=name.replace("_", " "), marker=".")
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    gain.axhline(0, color="gray", linewidth=1)
    figure.suptitle(title)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(png.getvalue())
