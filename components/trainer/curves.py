"""The loss curves of a run as one picture."""

import io
from collections.abc import Sequence

import tensorflow as tf

_HELD_OUT = "held_out_"


def write_curves(history: Sequence[dict[str, float]], path: str, *, title: str) -> None:
    """Draw losses and scores over the steps, those of held-out photographs dashed, into a PNG.

    Args:
        history: as of a `TrainingSummary`; a value that only some rows have, as after a resumption, is drawn from them.
        path: of any filesystem TensorFlow knows.
        title: above the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 4), layout="constrained")
    losses, shares, scores, gain = figure.subplots(1, 4)
    panels = [
        (losses, "loss", ["generator_loss", "discriminator_loss", "adversarial_loss"]),
        (shares, "share called real", ["real_called_real", "generated_called_real"]),
        (scores, "discriminator", ["discriminator_precision", "discriminator_recall"]),
        (gain, "PSNR over gray, dB (held out)", ["psnr_gain_db"]),
    ]
    for axes, label, names in panels:
        for number, name in enumerate(names):
            for key, line in ((name, "-"), (f"{_HELD_OUT}{name}", "--")):
                rows = [row for row in history if key in row]
                if rows:
                    axes.plot(
                        [row["step"] for row in rows],
                        [row[key] for row in rows],
                        label=key.replace("_", " "),
                        color=f"C{number}",
                        linestyle=line,
                        marker=".",
                    )
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
