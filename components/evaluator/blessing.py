"""Whether the metrics of a candidate are good enough, and if not, why not."""

from collections.abc import Mapping
from typing import Any

from components.evaluator.config import EvaluateConfig, LabelThresholds, Thresholds


def reasons_against(metrics: Mapping[str, Any], config: EvaluateConfig) -> list[str]:
    """Return every reason not to bless a candidate, in words with its numbers; none if it is good enough.

    Args:
        metrics: as `evaluation.summarize` returns them. A `baseline` without metrics does not count.
        config: the thresholds.
    """
    reasons = []
    if metrics["n_not_finite"]:
        reasons.append(f"colours that are not finite on {metrics['n_not_finite']} of {metrics['n_images']} photographs")
    reasons += _missed(metrics, config)
    baseline = metrics.get("baseline")
    if baseline and "psnr_db" in baseline:
        reasons += _dropped(metrics, "max_psnr_drop_db", config.max_psnr_drop_db)
    least = (config.each_label or LabelThresholds()).min_photographs
    for label, group in metrics["labels"].items():
        if group["n_images"] < least:
            continue
        found = _missed(group, config.each_label) if config.each_label is not None else []
        if config.max_label_drop_db is not None and group.get("baseline"):
            found += _dropped(group, "max_label_drop_db", config.max_label_drop_db)
        reasons += [f"{label or 'without a folder'}: {reason}" for reason in found]
    return reasons


def _dropped(metrics: Mapping[str, Any], name: str, most: float) -> list[str]:
    """How far one group of photographs is below the served model's colours of it, if that is too far."""
    served = metrics["baseline"]["psnr_db"]
    drop = served - metrics["psnr_db"]
    if drop <= most:
        return []
    return [
        f"PSNR {metrics['psnr_db']:.2f} dB is {drop:.2f} dB below the served model's {served:.2f}; {name} is {most:g}"
    ]


def _missed(metrics: Mapping[str, Any], thresholds: Thresholds) -> list[str]:
    """What one group of photographs falls short of."""
    reasons = []
    gray = metrics["grayscale"]
    gain = metrics["psnr_db"] - gray["psnr_db"]
    if not gain >= thresholds.min_psnr_gain_db:
        reasons.append(
            f"PSNR {metrics['psnr_db']:.2f} dB is {gain:+.2f} dB against the gray photographs' {gray['psnr_db']:.2f}; "
            f"min_psnr_gain_db is {thresholds.min_psnr_gain_db:g}"
        )
    # Strictly below: a network that learned nothing answers with gray, and gray must not pass at a ratio of 1.
    if not metrics["ab_mae"] < thresholds.max_ab_mae_ratio * gray["ab_mae"]:
        reasons.append(
            f"ab error {metrics['ab_mae']:.2f} is not below {thresholds.max_ab_mae_ratio:g} x the gray photographs' "
            f"{gray['ab_mae']:.2f} (max_ab_mae_ratio)"
        )
    if not metrics["left_gray"] <= thresholds.max_left_gray:
        reasons.append(
            f"{metrics['left_gray']:.1%} of {metrics['n_images']} photographs are left gray; "
            f"max_left_gray is {thresholds.max_left_gray:g}"
        )
    colorful, truth = metrics["colorfulness"], metrics["colorfulness_truth"]
    least, most = thresholds.min_colorfulness_ratio, thresholds.max_colorfulness_ratio
    if not colorful >= least * truth:
        reasons.append(
            f"colorfulness {colorful:.1f} is under {least:g} x the truth's {truth:.1f} (min_colorfulness_ratio)"
        )
    if most is not None and not colorful <= most * truth:
        reasons.append(
            f"colorfulness {colorful:.1f} is over {most:g} x the truth's {truth:.1f} (max_colorfulness_ratio)"
        )
    return reasons
