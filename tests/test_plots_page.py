"""The plots page is complete without a network, and every template draws what DVC puts into it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import vl_convert
import yaml
from dvc_render import VegaRenderer
from dvc_render.html import HTML

from zerostart import plots_page
from zerostart.errors import InputError

ROOT = Path(__file__).parents[1]
DVC = ROOT / ".dvc"
PAGE = ROOT / plots_page.PAGE
REVISIONS = ["seed-0-alpha_init-0.05-descriptive-ensemble-minilm-grid-search-17", "HEAD"]
# Strings, as DVC reads them from a CSV; per template the columns for x and y, and rows in an order that is not alphabetical.
SAMPLES = {
    "bars_by_class": ("AP", "class", [{"class": name, "detector": "refined", "AP": "0.5"} for name in ("dent", "crack")]),
    "bars_by_strategy": (
        "value",
        "strategy",
        [{"strategy": name, "metric": "precision", "value": "0.5", "low": "0.4", "high": "0.6"} for name in ("image", "text")],
    ),
    "calibration": (
        "confidence",
        "precision",
        [{"detector": "refined", "confidence": value, "precision": value, "count": "10"} for value in ("0.25", "0.75")],
    ),
    "confusion_counts": (
        "predicted",
        "actual",
        [
            {"actual": "dent", "predicted": "dent", "count": "1397"},
            {"actual": "dent", "predicted": "background", "count": "0"},
            {"actual": "background", "predicted": "dent", "count": "0"},
            {"actual": "background", "predicted": "background", "count": "0"},
        ],
    ),
    "cosines": (
        "class_b",
        "class_a",
        [
            {"class_a": "dent", "class_b": "dent", "cosine": "1"},
            {"class_a": "dent", "class_b": "crack", "cosine": "-0.271"},
            {"class_a": "crack", "class_b": "dent", "cosine": "-0.271"},
            {"class_a": "crack", "class_b": "crack", "cosine": "1"},
        ],
    ),
    "per_epoch": ("epoch", "mAP", [{"epoch": "0", "mAP": "0.711"}, {"epoch": "1", "mAP": "0.732"}]),
    "pr_by_class": (
        "recall",
        "precision",
        [{"class": name, "detector": "refined", "recall": "0.5", "precision": "0.9"} for name in ("dent", "crack")],
    ),
    "tag_balance": (
        "pictures",
        "tag",
        [{"domain": "real", "split": "train", "tag": name, "pictures": "30"} for name in ("nut", "gear")],
    ),
}


def filled(template: str) -> dict:
    """The specification that DVC makes of a template and the sample rows of two revisions."""
    x, y, rows = SAMPLES[template]
    datapoints = [row | {"rev": revision, "filename": "plots/sample.csv", "field": y} for revision in REVISIONS for row in rows]
    labels = {"title": "the title", "x_label": "the x label", "y_label": "the y label"}
    renderer = VegaRenderer(datapoints, "sample", template=template, template_dir=str(DVC / "plots"), x=x, y=y, **labels)
    return renderer.get_filled_template()


def texts(template: str) -> list[str]:
    """Everything written in the picture of the filled template, in drawing order."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", vl_convert.vegalite_to_svg(filled(template)))


def test_page_is_what_the_installed_bundle_gives():
    assert PAGE.read_bytes() == plots_page.plots_page().encode()


def test_page_asks_for_nothing_from_elsewhere():
    loaded = []

    class Loads(HTMLParser):
        def handle_starttag(self, tag, attributes):
            loaded.extend((tag, name) for name, _ in attributes if name in ("src", "href", "srcset", "data"))

    Loads().feed(PAGE.read_text(encoding="utf-8"))
    assert loaded == []


def test_dvc_fills_the_page_without_its_own_network_scripts():
    page = HTML(PAGE.read_text(encoding="utf-8"), refresh_seconds=7)
    page.with_scripts(VegaRenderer.SCRIPTS).with_element("<p>the plots</p>")
    filled_page = page.embed()
    assert "<p>the plots</p>" in filled_page
    assert HTML.REFRESH_TAG.format(7) in filled_page
    assert "cdn.jsdelivr.net" not in filled_page
    assert not re.search(r"\{(scripts|plot_divs|refresh_tag)\}", filled_page)


def test_configuration_names_the_page():
    assert f"html_template = {PAGE.relative_to(DVC)}\n" in (DVC / "config").read_text()


@pytest.mark.parametrize("breaking", ["</SCRIPT>", "{plot_divs}", "{scripts}"])
def test_bundle_that_would_break_the_page_is_refused(monkeypatch, breaking):
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda snippet: f"'{breaking}'")
    with pytest.raises(ValueError, match=re.escape(breaking.lower().rstrip(">"))):
        plots_page.plots_page()


def test_elsewhere_than_in_the_repository_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^\.dvc/plots: no such folder; run this in the root of the repository$"):
        plots_page.main()
    assert list(tmp_path.iterdir()) == []


def test_every_template_is_tested_here():
    assert {path.stem for path in (DVC / "plots").glob("*.json")} == set(SAMPLES)


@pytest.mark.parametrize("template", SAMPLES)
def test_template_has_the_anchors_that_dvc_fills(template):
    found = set(re.findall(r"<DVC_METRIC_(\w+)>", (DVC / "plots" / f"{template}.json").read_text()))
    assert found == {"DATA", "TITLE", "X", "X_LABEL", "Y", "Y_LABEL"}
    assert "DVC_METRIC" not in json.dumps(filled(template))


@pytest.mark.parametrize("template", SAMPLES)
def test_template_draws_titles_and_whole_names_of_revisions(template):
    drawn = texts(template)
    assert {"the title", "the x label", "the y label"} <= set(drawn)
    assert [text for text in drawn if text in REVISIONS] == REVISIONS  # not cut, and in the order of `dvc plots diff`


@pytest.mark.parametrize(
    ("template", "classes", "times"),
    [
        ("bars_by_class", ["dent", "crack"], 1),
        ("confusion_counts", ["dent", "background"], 2 + 1),  # the columns of each revision, and the rows once
        ("cosines", ["dent", "crack"], 2 + 1),
        ("pr_by_class", ["dent", "crack"], 1),
        ("tag_balance", ["nut", "gear"], 2),
    ],
)
def test_classes_keep_the_order_of_the_card(template, classes, times):
    assert [text for text in texts(template) if text in classes] == classes * times


def test_confusion_prints_every_count_and_colours_by_share_of_the_row():
    counts = [text for text in texts("confusion_counts") if text.isdigit()]
    assert counts == ["1397", "0", "0", "0"] * len(REVISIONS)
    svg = vl_convert.vegalite_to_svg(filled("confusion_counts"))
    cells = re.findall(r'aria-label="[^"]*"[^>]*aria-roledescription="rect mark"[^>]*fill="([^"]*)"', svg)
    full, empty = "rgb(8, 81, 156)", "rgb(255, 255, 255)"  # #08519c for 1397 of 1397; white for 0, also in a row without any
    assert cells == [full, empty, empty, empty] * len(REVISIONS)


def test_cosines_are_printed_with_two_decimals():
    printed = [text for text in texts("cosines") if re.fullmatch(r"[-−]?\d\.\d\d", text)]
    assert printed == ["1.00", "−0.27", "−0.27", "1.00"] * len(REVISIONS)


def test_metric_per_epoch_has_whole_epochs_and_does_not_start_at_zero():
    drawn = texts("per_epoch")
    x_label, y_label = drawn.index("the x label"), drawn.index("the y label")
    assert [text for text in drawn[:x_label] if text] == ["0", "1"]
    assert drawn[x_label + 1 : y_label] == ["0.71", "0.715", "0.72", "0.725", "0.73"]  # of the values 0.711 and 0.732


def test_metric_of_a_single_epoch_is_a_visible_point_with_its_own_value():
    specification = filled("per_epoch")
    specification["data"]["values"] = [row for row in specification["data"]["values"] if row["epoch"] == "0"]
    svg = vl_convert.vegalite_to_svg(specification)
    assert svg.count('aria-roledescription="point"') == len(REVISIONS)
    assert ">0.711</text>" in svg  # left to itself, Vega rounds the only tick to 1


def test_plots_in_dvc_yaml_use_templates_that_exist():
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text()).get("plots", [])
    used = {options["template"] for plot in plots for options in plot.values() if options}
    assert used <= set(SAMPLES)
