"""The results as one Markdown table, which README.md and docs/tagging.md quote."""

HEADER = (
    "| | photos: exactly right | macro F1 | mAP | academic: exactly right | macro F1 |",
    "|---|---|---|---|---|---|",
)


def result_table(rows: list[tuple[str, dict, dict | None]]) -> str:
    """rows: name, metrics on photos (`judged.report`) and, where there are, on academic pictures.

    All stand with their 95 % intervals.
    """
    lines = [
        f"| {name} | {_right(real)} | {_with_interval(real, 'macro_F1')} | {_with_interval(real, 'mAP')} |"
        + (f" {_right(academic)} | {_with_interval(academic, 'macro_F1')} |" if academic else " | |")
        for name, real, academic in rows
    ]
    return "\n".join([*HEADER, *lines]) + "\n"


def _right(metrics: dict) -> str:
    low, high = metrics["intervals"]["subset_accuracy"]
    return f"{metrics['subset_accuracy']:.1%} [{low:.1%}, {high:.1%}]"


def _with_interval(metrics: dict, name: str) -> str:
    low, high = metrics["intervals"][name]
    return f"{metrics[name]:.3f} [{low:.3f}, {high:.3f}]"
