"""Baseline and refined detector on the test images, as a table and in one sentence."""

METRICS = ("mAP", "AP50", "AP75", "AR_critical", "composite", "mAP_without_normal", "critical_recall", "calibration_error")
WORDS = {"flips": "mirror images", "training": "training", "decoder": "decoder tuning"}
"""The steps from the baseline to the refined detector (`composite_steps` in metrics/evaluate.json)."""


def table(metrics: dict) -> str:
    """metrics/evaluate.json as aligned text, one metric a line."""
    lines = [f"{'test':<20}{'baseline':>10}{'refined':>10}{'delta':>10}   95 % interval of the delta"]
    for name in METRICS:
        bounds = metrics["interval"].get(name)
        interval = f"   [{bounds['low']:+.4f}, {bounds['high']:+.4f}]" if bounds else ""
        numbers = f"{metrics['baseline'][name]:>10.4f}{metrics[name]:>10.4f}{metrics['delta'][name]:>+10.4f}"
        lines.append(f"{name:<20}{numbers}{interval}")
    return "\n".join(lines)


def verdict(metrics: dict) -> str:
    """One sentence: what the test images say about the composite, and how sure it is."""
    low, high = (metrics["interval"]["composite"][bound] for bound in ("low", "high"))
    found = f"composite {metrics['delta']['composite']:+.4f}, 95 % interval [{low:+.4f}, {high:+.4f}]"
    steps = metrics["composite_steps"]
    if any(steps["flips"].values()) or "decoder" in steps:
        found += f" ({', '.join(f'{words} {step(metrics, name)}' for name, words in WORDS.items() if name in steps)})"
    if low <= 0 <= high:
        found += ": it includes 0, so no difference is shown on these test images"
    else:
        found += f": it excludes 0, the refined detector is {'better' if low > 0 else 'worse'} on these test images"
    return "; ".join([found, *reservations(metrics.get("data", {}))])


def reservations(data: dict[str, dict[str, int]]) -> list[str]:
    """What the data do not allow to be said (`data` in metrics/evaluate.json)."""
    said = []
    if unseen := [name for name, count in data.get("objects_in_train", {}).items() if count == 0]:
        said.append(f"nothing was learned about {', '.join(sorted(unseen))}: no object in train")
    if left_out := data.get("left_out", {}):
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(left_out.items()))
        said.append(f"{sum(left_out.values())} defective records were left out ({kinds})")
    return said


def step(metrics: dict, name: str) -> str:
    """What one step of the refinement adds to the composite."""
    found = metrics["composite_steps"][name]
    return f"{found['delta']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"
