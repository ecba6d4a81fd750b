"""The tables behind the plots of `evaluate`, in the order of the classes."""

from zerostart.evaluation.reports import Report
from zerostart.metrics.operating_point import confusion_rows

PR_STEP = 4
"""Every fourth of the 101 recall points of a precision-recall curve is written."""

Table = tuple[tuple[str, ...], list[tuple]]
"""Header and rows."""


def plot_tables(reports: dict[str, Report], classes: list[str]) -> dict[str, Table]:
    """By file name in plots/: AP per class, precision against recall and against confidence, both confusion matrices."""
    per_class, curves, calibration = [], [], []
    for k, class_name in enumerate(classes):
        for name, report in reports.items():
            precision = report.coco.precision_at_50(k)
            if precision is None:
                continue
            values = report.coco.per_class[class_name]
            per_class.append((class_name, name, *(f"{values[metric]:.6f}" for metric in ("AP", "AP50", "AR"))))
            points = range(0, len(precision), PR_STEP)
            curves += [(class_name, name, f"{i / 100:.2f}", f"{precision[i]:.4f}") for i in points]
    for name, report in reports.items():
        calibration += [(name, f"{b.confidence:.4f}", f"{b.precision:.4f}", b.count) for b in report.bins]
    confusion = {
        f"confusion_{name}.csv": (("actual", "predicted", "count"), confusion_rows(report.point.confusion(), classes))
        for name, report in reports.items()
    }
    return confusion | {
        "per_class.csv": (("class", "detector", "AP", "AP50", "AR"), per_class),
        "pr.csv": (("class", "detector", "recall", "precision"), curves),
        "calibration.csv": (("detector", "confidence", "precision", "count"), calibration),
    }
