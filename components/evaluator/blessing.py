"""Whether the metrics of a candidate are good enough, and if not, why not."""

from collections.abc import Mapping
from typing import Any

from components.evaluator.config import EvaluateConfig


def reasons_against(metrics: Mapping[str, Any], config: EvaluateConfig) -> list[str]:
    """Return every reason not to bless a candidate, in words with its numbers; none if it is good enough.

    Args:
        metrics: as `evaluation.summarize` returns them. A `baseline` without metrics does not count.
        config: the thresholds.
    """
    reasons = []
    if metrics["n_not_finite"]:
        reasons.append(f"colours that are not finite on {metrics['n_not_finite']} of {metrics['n_images']} photographs")
    gray = metrics["grayscale"]
    gain = metrics["psnr_db"] - gray["psnr_db"]
    if not gain >= config.min_psnr_gain_db:
        reasons.append(
            f"PSNR {metrics['psnr_db']:.2f} dB is {gain:+.2f} dB against the gray photographs' {gray['psnr_db']:.2f}; "
            f"min_psnr_gain_db is {config.min_psnr_gain_db:g}"
        )
    # Strictly below: a network that learned nothing answers with gray, and gray must not pass at a ratio of 1.
    if not metrics["ab_mae"] < config.max_ab_mae_ratio * gray["ab_mae"]:
        reasons.append(
            f"ab error {metrics['ab_mae']:.2f} is not below {config.max_ab_mae_ratio:g} x the gray photographs' "
            f"{gray['ab_mae']:.2f} (max_ab_mae_ratio)"
        )
    baseline = metrics.get("baseline")
    if baseline and "psnr_db" in baseline:
        drop = baseline["psnr_db"] - metrics["psnr_db"]
        if not drop <= config.max_psnr_drop_db:
            reasons.append(
                f"PSNR {metrics['psnr_db']:.2f} dB is {drop:.2f} dB below the served model's "
                f"{baseline['psnr_db']:.2f}; max_psnr_drop_db is {config.max_psnr_drop_db:g}"
            )
    return reasons
