"""The model card: what it says, and that nothing in it is obeyed, loaded or different the next time."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from lesions.reporting.card.flow import image_flow
from lesions.reporting.card.html import page
from lesions.reporting.card.subgroups import comparison_rows, findings
from lesions.reporting.common.numbers import interval
from lesions.reporting.common.templates import ENVIRONMENT, one_line
from stages import report
from tests.browser import assert_accessible, assert_fits, look
from tests.conftest import ROOT, edit_params

EVALUATION = Path("reports/evaluation.json")
HOSTILE = "<script>alert(1)</script> | ![x](http://example.org/x.png) `*_[]"


class Elements(HTMLParser):
    """Collects a page's elements and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


def elements(html: str) -> Elements:
    parser = Elements()
    parser.feed(html)
    return parser


@pytest.fixture
def finished(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    clone = copytree(workspace, tmp_path / "clone", symlinks=True)
    monkeypatch.chdir(clone)
    return clone


def change(file: Path, edit: Callable[[Any], None]) -> None:
    content = json.loads(file.read_text())
    edit(content)
    file.unlink()  # a link into the cache
    file.write_text(json.dumps(content))


def written() -> tuple[str, str]:
    report.main()
    return tuple(Path(f"reports/model_card.{kind}").read_text() for kind in ("md", "html"))  # type: ignore[return-value]


@pytest.fixture
def card(finished: Path) -> Callable[[], tuple[str, str]]:
    for file in [*(finished / "reports/card").glob("*"), finished / "reports/model_card.html"]:
        file.unlink()  # links into the cache, which are read-only
    return written


@pytest.fixture(scope="module")
def of_workspace(workspace: Path) -> tuple[str, str]:
    """The pipeline's card as it is."""
    return tuple((workspace / f"reports/model_card.{kind}").read_text() for kind in ("md", "html"))  # type: ignore[return-value]


def test_same_bytes_again(card: Callable[[], tuple[str, str]], of_workspace: tuple[str, str]) -> None:
    assert card() == of_workspace


def test_metrics_are_those_of_the_evaluation(workspace: Path, of_workspace: tuple[str, str]) -> None:
    markdown, html = of_workspace
    test = json.loads((workspace / EVALUATION).read_text())["test"]
    for metric in ("accuracy", "macro_auc", "log_loss"):
        assert interval(test["metrics"][metric]) in markdown
        assert interval(test["metrics"][metric]) in elements(html).text
    assert f"{test['images']} images of {test['groups']} groups" in markdown
    assert "This model has seen drawings only" in markdown
    assert "Do sources differ?" not in markdown
    assert "too good" not in markdown.replace("may be too good for that reason", "")


def test_page_is_offline_and_accessible(of_workspace: tuple[str, str]) -> None:
    _, html = of_workspace
    tags = elements(html).tags
    assert not [tag for tag, _ in tags if tag in ("script", "link", "iframe", "object", "form")]
    sources = [attributes["src"] for tag, attributes in tags if tag == "img"]
    assert len(sources) > 8
    assert all(source and source.startswith(("data:image/png;", "data:image/jpeg;")) for source in sources)
    assert all(len(attributes["alt"] or "") > 20 for tag, attributes in tags if tag == "img")
    assert ("html", {"lang": "en"}) in tags
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    regions = [attributes["aria-label"] for tag, attributes in tags if attributes.get("role") == "region"]
    assert len(regions) == len(set(regions)) == sum(tag == "table" for tag, _ in tags)


def test_card_of_git_has_no_image_and_the_page_has_contents(of_workspace: tuple[str, str]) -> None:
    markdown, html = of_workspace
    assert not re.search(r"\]\(", markdown)
    shown = elements(html)
    anchors = {attributes["id"] for tag, attributes in shown.tags if tag == "h2"}
    links = [attributes["href"] for tag, attributes in shown.tags if tag == "a"]
    assert [f"#{anchor}" for anchor in anchors if f"#{anchor}" not in links] == []
    assert len(links) == len(anchors) == markdown.count("\n## ")
    assert re.match(r"# Model card: plain-synthetic-[0-9a-f]{8}\n", markdown)
    # What the images show besides is in both.
    for words in ("the diagnosis is correct for", "Errors, of each diagnosis the most confident"):
        assert words in markdown
        assert words in shown.text or words in html


def test_flow_adds_up(finished: Path) -> None:
    data, split = (json.loads((finished / f"metrics/{name}.json").read_text()) for name in ("data", "split"))
    evaluated = json.loads(EVALUATION.read_text())["test"]
    flow = image_flow(data, split, evaluated)
    assert flow["found"] == 120 == flow["set_aside"] + flow["usable"]
    assert flow["set_aside"] == sum(number for _, number in flow["reasons"])
    assert flow["usable"] == sum(ours["images"] for ours in flow["splits"].values()) + flow["left_out"]
    assert flow["evaluated"] == flow["splits"]["test"]["images"] == flow["correct"] + flow["wrong"]
    assert flow["correct"] / flow["evaluated"] == pytest.approx(evaluated["metrics"]["accuracy"]["value"], abs=1e-4)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["model_card", "data"])
def test_layout_fits_and_axe_passes(browser: Any, workspace: Path, name: str, width: int) -> None:
    for scheme in ("light", "dark"):
        look(browser, width, scheme)
        browser.get((workspace / f"reports/{name}.html").as_uri())
        assert_fits(browser)
        assert_accessible(browser)


def test_leak_comes_first(card: Callable[[], tuple[str, str]]) -> None:
    without_leak = card()
    before = {file.name: file.read_bytes() for file in Path("reports/card").iterdir()}
    change(EVALUATION, lambda found: found.update(leakage="split by image"))
    markdown, html = card()
    assert "split by image" in markdown[: markdown.index("## In short")]
    assert "These metrics are of a leaky split" in elements(html).text
    assert "These metrics are of a leaky split" not in elements(without_leak[1]).text
    # The map of the images is explain's own, which reads the leakage itself.
    drawn = [file for file in Path("reports/card").iterdir() if file.name != "embedding.png"]
    assert all(before[file.name] != file.read_bytes() for file in drawn)


def test_hostile_names(card: Callable[[], tuple[str, str]]) -> None:
    def rename(found: Any) -> None:
        for split in ("val", "test"):
            found[split]["classes"][0]["diagnosis"] = HOSTILE

    change(EVALUATION, rename)
    change(Path("data/raw/provenance.json"), lambda found: found.update(licence=HOSTILE))
    change(Path("reports/gallery/gallery.json"), lambda found: found["entries"][0].update(image_id=HOSTILE))
    _, html = card()
    shown = elements(html)
    assert "<script>alert(1)</script> | ![x](http://example.org/x.png) `*_[]" in shown.text
    assert not [tag for tag, _ in shown.tags if tag == "script"]
    assert not re.search("""(src|href)=["']?http""", html)


def test_undefined_metric(card: Callable[[], tuple[str, str]]) -> None:
    undefined = {"value": None, "lower": None, "upper": None, "reason": "does not occur"}
    change(EVALUATION, lambda found: found["test"]["classes"][0].update(sensitivity=undefined))
    assert "| not defined: does not occur |" in card()[0]


def test_chance_is_of_the_classes_that_occur(card: Callable[[], tuple[str, str]]) -> None:
    """Of three classes, the sensitivity of always the same is 1, 0 and 0."""

    def leave_three(found: Any) -> None:
        for row in found["test"]["classes"][3:]:
            row["groups"] = 0
        found["test"]["metrics"]["balanced_accuracy"].update(value=0.34, lower=0.33, upper=0.36)

    change(EVALUATION, leave_three)
    markdown = card()[0]
    assert "34.0 % (33.0 to 36.0); by chance, 33.3 %" in markdown
    assert "It is not shown to be better than chance" in markdown


def test_keys_that_params_leave_out(card: Callable[[], tuple[str, str]], finished: Path) -> None:
    (finished / "params.yaml").unlink()
    whole = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (finished / "params.yaml").write_text(re.sub(r"(?m)^  (ensemble_size|loss|balance|n_bootstrap): .*\n", "", whole))
    assert [line for line in card()[0].splitlines() if "epochs from" in line] != []


def test_networks_of_an_ensemble_are_named(card: Callable[[], tuple[str, str]], finished: Path) -> None:
    others = [{"model": "EfficientNetLite0"}]
    pretrained = {"model": "MobileNet", "alpha": 0.25, "weights": "none", "further_members": others}
    edit_params(finished, pretrained=pretrained, train={"architecture": "pretrained", "ensemble_size": 3})
    markdown = card()[0]
    assert markdown.startswith("# Model card: mobilenet+efficientnetlite0-")
    assert "random weights of MobileNet, the ImageNet weights of EfficientNetLite0, which take turns" in markdown


def test_without_test_split(card: Callable[[], tuple[str, str]]) -> None:
    def leave_out(found: Any) -> None:
        for name in [name for name in found if name == "test" or name.endswith("_of_test")]:
            del found[name]
        for part in (found["calibration"], *found["tasks"].values(), found["abstention"]):
            part.pop("test", None)
        for task in found["tasks"].values():
            for point in task["operating_points"]:
                point.pop("test", None)

    change(EVALUATION, leave_out)
    assert "**Test was not evaluated**" in card()[0]


def estimate(value: float, lower: float, upper: float) -> dict[str, Any]:
    return {"value": value, "lower": lower, "upper": upper}


def test_resolution_of_an_interval() -> None:
    resolution = ENVIRONMENT.get_template("reporting/card/sentences.md.jinja").module.resolution  # type: ignore[attr-defined]
    words = one_line(resolution(estimate(0.5, 0.47, 0.53), 1000))
    assert "6.0 points wide" in words
    assert "about 360 groups" in words
    assert "No interval" in resolution({"value": 1.0, "lower": None, "upper": None}, 1000)


def test_findings_on_subgroups() -> None:
    def tested(p: float, p_holm: float, left_out: dict[str, str]) -> dict[str, Any]:
        differences = [{"subgroup": "fe|male", **estimate(-0.1, -0.2, 0.01)}]
        test = {"p": p, "p_holm": p_holm, "differs": p_holm < 0.05}
        return {"reference": "male", "differences": differences, **test, "left_out": left_out}

    few = {"few": "fewer than 20 groups"}
    impossible = {
        "reason": "fewer than two",
        "left_out": {**few, "a": "holds other classes", "b": "holds other classes"},
    }
    sex = {
        "melanoma_auc": tested(1e-9, 2e-9, few),
        "melanoma_sensitivity": tested(0.02, 0.2, few),
        "melanoma_specificity": tested(0.2, 0.4, few),
        "balanced_accuracy": impossible,
    }
    comparisons = {"columns": {"sex": sex}}
    (found,) = findings(comparisons)
    assert found["verdicts"] == {
        "differs": ["melanoma AUC (adjusted p < 0.001)"],
        "unadjusted": ["melanoma sensitivity"],
        "none": ["melanoma specificity"],
        "impossible": ["balanced accuracy"],
    }
    assert found["left_out"] == [
        {"reason": "fewer than 20 groups", "subgroups": ["few"], "metrics": []},
        {"reason": "holds other classes", "subgroups": ["a", "b"], "metrics": ["balanced accuracy"]},
    ]
    rare = {"a": "few melanomas"}
    few_in_some = {"melanoma_auc": tested(1, 1, rare | {"b": "few others"}), "melanoma_sensitivity": tested(1, 1, rare)}
    assert findings({"columns": {"sex": few_in_some | {"balanced_accuracy": tested(1, 1, {})}}})[0]["left_out"] == [
        {"reason": "few melanomas", "subgroups": ["a"], "metrics": ["melanoma AUC", "melanoma sensitivity"]},
        {"reason": "few others", "subgroups": ["b"], "metrics": ["melanoma AUC"]},
    ]
    rows = comparison_rows(comparisons)
    assert [(row["column"], row["p"], row["p_holm"]) for row in rows] == [
        ("sex", "< 0.001", "< 0.001"),
        ("", "0.020", "0.200"),
        ("", "0.200", "0.400"),
    ]
    assert rows[0]["differences"] == r"fe\|male: -0.100 (-0.200 to +0.010)"
    assert findings({}) == comparison_rows({}) == []


def test_card_on_two_sources(card: Callable[[], tuple[str, str]]) -> None:
    def two_sources(found: Any) -> None:
        rows = [{"subgroup": name, "groups": 90, "melanoma_auc": estimate(0.8, 0.7, 0.9)} for name in ("here", "there")]
        found["subgroups_of_test"]["source"] = [{**row, "balanced_accuracy": estimate(0.5, 0.4, 0.6)} for row in rows]
        pooled = {"pooled": estimate(0.81, 0.65, 0.95), "tau_of_logit": estimate(0.3, 0.1, 1.2), "i_squared": 0.5}
        found["subgroup_comparisons_of_test"]["sources"] = {
            "melanoma_auc": {"sources": ["here", "there"], **pooled, "another_source": None},
            "balanced_accuracy": {"reason": "fewer than two sources have enough groups"},
        }

    change(EVALUATION, two_sources)
    markdown = card()[0]
    assert "pooled over 2 sources (here and there): 0.810 [0.650" in markdown
    assert "nothing is said there of another source" in markdown
    assert markdown.count("Standard deviation between sources") == 1
    assert Path("reports/card/sources.png").stat().st_size > 1000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_text(scheme: str, tmp_path: Path) -> None:
    """At least 4.5 to 1: WCAG 2.2, success criterion 1.4.3."""
    blocks = re.findall(r":root \{(.*?)\}", page("# title", tmp_path), re.DOTALL)
    colours = dict(re.findall(r"--(\w+): #(\w{6})", blocks[scheme == "dark"]))

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for text, ground in (("text", "back"), ("text", "alarm"), ("muted", "back")):
        bright, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5


def test_tags_in_markdown(tmp_path: Path) -> None:
    shown = elements(page("# <b>\n\n<img src=x onerror=alert(1)>\n", tmp_path))
    assert not [tag for tag, _ in shown.tags if tag in ("img", "b")]


def test_escapes_in_headings(tmp_path: Path) -> None:
    shown = page("# plain-isic\\_archive-`a`\n\n## By source\\_id\n", tmp_path)
    assert "<title>plain-isic_archive-a</title>" in shown
    assert '<a href="#by-source_id">By source_id</a>' in shown
