"""Every plot of dvc.yaml, drawn: by DVC into its template, and from there into an image."""

import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pandas as pd
import pytest
import vl_convert
from PIL import Image
from ruamel.yaml import YAML

from lesions.commands import dvc_plots_page
from tests.browser import assert_accessible, assert_fits, look
from tests.conftest import ROOT, run

DEFINED: list[str | dict[str, dict[str, Any]]] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["plots"]
IMAGES = [plot for plot in DEFINED if isinstance(plot, str)]
VIEWS = {name: view for plot in DEFINED if isinstance(plot, dict) for name, view in plot.items()}
TEMPLATES = sorted((ROOT / ".dvc/plots").glob("*.json"))
SPLITS = ("test", "val")
NO_METRIC_OF_QUALITY = ("class_balance", "learning_rate")
"""A leak makes them no better."""

PLACEHOLDERS = ("{plot_divs}", "{refresh_tag}", "{scripts}")
"""What DVC replaces wherever it stands in the page, in its scripts too."""

Drawings = dict[str, list[dict[str, Any]]]
"""What DVC makes of each plot: its type, its revisions, and a filled template or an image's path."""


def drawings(folder: Path, out: Path, *command: str) -> Drawings:
    """Return what `dvc plots show` or `diff` draws, having written the images below `out`."""
    found = json.loads(run(f"dvc plots {' '.join(command)} --json --out {out}", folder))
    assert "errors" not in found, found["errors"]
    data: Drawings = found["data"]
    return data


def pixels(spec: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Render a filled template; int16 of shape (height, width, 3)."""
    png = vl_convert.vegalite_to_png(spec, allowed_base_urls=[])
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(np.int16)


def coloured(shown: np.ndarray[Any, np.dtype[np.int16]]) -> int:
    """Count the pixels that are not grey or nearly so, as axes and letters are."""
    return int((shown.max(axis=2) - shown.min(axis=2) > 30).sum())


def coloured_without_data(spec: dict[str, Any]) -> int:
    """Count what is coloured without a mark."""
    try:
        return coloured(pixels({**spec, "data": {**spec["data"], "values": []}}))
    except ValueError:
        return 0  # with a facet a value there is none then, and Vega refuses an image of no size


def assert_drawn(name: str, spec: dict[str, Any]) -> None:
    """Hold a filled template against the same one without data, which keeps axes and a legend's colours."""
    shown = pixels(spec)
    assert shown.std() > 10, f"{name} is nearly one colour"
    assert coloured(shown) > coloured_without_data(spec) + 200, f"{name} has no marks"
    nameless = re.findall(r">(undefined|null|NaN)<", vl_convert.vegalite_to_svg(spec))
    assert not nameless, f"{name} is of a column that its data has not"


class Addresses(HTMLParser):
    """Collects what the elements of a page would load; a script's text is not read for elements."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the addresses of one element."""
        self.found += [(tag, value or "") for key, value in attrs if key in {"src", "href", "srcset", "data"}]


@pytest.fixture(scope="module")
def shown(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Drawings:
    return drawings(workspace, tmp_path_factory.mktemp("shown"), "show")


@pytest.fixture(scope="module")
def shown_page(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that a person opens after `make` and `dvc plots show`."""
    out = tmp_path_factory.mktemp("page")
    local = workspace / ".dvc/config.local"
    assert not local.exists()
    run("python -m lesions.commands.dvc_plots_page", workspace)
    try:
        run(f"dvc plots show --out {out}", workspace)
    finally:
        local.unlink()
        (workspace / dvc_plots_page.PAGE).unlink()
    return out / "index.html"


# What is written down: no run is needed to read it.


def test_templates_are_those_used() -> None:
    assert {view["template"] for view in VIEWS.values()} == {template.stem for template in TEMPLATES}


def test_no_view_is_drawn_twice() -> None:
    views = [json.dumps({**view, "title": None}, sort_keys=True) for view in VIEWS.values()]
    assert len(set(views)) == len(views)
    assert len(set(IMAGES)) == len(IMAGES)


def test_no_name_begins_another() -> None:
    """`dvc plots show NAME` also draws every plot whose name begins with NAME."""
    begins = [(a, b) for a in VIEWS for b in VIEWS if a != b and b.startswith(a)]
    assert not begins


def test_splits_have_the_same_views() -> None:
    of_split = {name for name in VIEWS if name.endswith(SPLITS)}
    assert {name.rsplit("_", 1)[0] for name in of_split} == {
        "abstention",
        "confusion",
        "confusion_shares",
        "per_class",
        "misclassified",
        "reliability",
        "roc",
    }
    assert of_split == {f"{name.rsplit('_', 1)[0]}_{split}" for name in of_split for split in SPLITS}


def test_page_keeps_local_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"repro: can-run {dvc_plots_page.PAGE}" in make
    assert f"python -m {dvc_plots_page.__name__}" in make
    copytree(ROOT / ".dvc/plots", tmp_path / ".dvc/plots")
    theirs = "[plots]\nauto_open = true\n['remote \"team\"']\nurl = s3://a/b\nprofile = anna\n"
    (tmp_path / ".dvc/config.local").write_text(theirs)
    monkeypatch.chdir(tmp_path)
    dvc_plots_page.main()
    run("git init --quiet", tmp_path)
    assert run("dvc config plots.html_template", tmp_path).strip() == dvc_plots_page.PAGE.name
    assert run("dvc config plots.auto_open", tmp_path).strip() == "true"
    assert "profile = anna" in (tmp_path / ".dvc/config.local").read_text()
    assert run(f"git check-ignore {dvc_plots_page.PAGE}", ROOT).strip() == dvc_plots_page.PAGE.as_posix()


def test_scripts_hold_nothing_that_ends_their_element_or_that_dvc_replaces() -> None:
    scripts = dvc_plots_page.scripts()
    assert not [text for text in ("</script", "<!--", "\r", *PLACEHOLDERS) if text in scripts]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.stem)
def test_editor_can_fill_the_template(template: Path) -> None:
    """DVC's editor extension fills these anchors only where they are the whole value; DVC itself, also within one."""
    text = template.read_text(encoding="utf-8")
    for anchor in ("DATA", "TITLE", "COLOR", "X_LABEL", "Y_LABEL", "PLOT_WIDTH", "PLOT_HEIGHT"):
        assert text.count(f"<DVC_METRIC_{anchor}>") == text.count(f'"<DVC_METRIC_{anchor}>"')
    assert ("<DVC_METRIC_COLOR>" in text) != template.stem.startswith("confusion"), "a revision has its one colour"


# What a run of the pipeline left, drawn.


def test_dvc_draws_every_plot(shown: Drawings) -> None:
    assert set(shown) == {*VIEWS, *IMAGES}
    assert all(shown.values()), [name for name, drawn in shown.items() if not drawn]


@pytest.mark.parametrize("name", VIEWS)
def test_plot_is_not_blank(shown: Drawings, name: str) -> None:
    (drawn,) = shown[name]
    assert_drawn(name, drawn["content"])


@pytest.mark.parametrize("name", IMAGES)
def test_image_is_not_blank(shown: Drawings, name: str) -> None:
    (drawn,) = shown[name]
    with Image.open(drawn["url"]) as image:
        assert min(image.size) >= 64
        assert np.asarray(image.convert("RGB")).std() > 10


@pytest.mark.parametrize("split", SPLITS)
def test_confusion_shares_are_of_the_actual_class(workspace: Path, shown: Drawings, split: str) -> None:
    pairs = pd.read_csv(workspace / f"plots/evaluation/confusion_{split}.csv", keep_default_na=False)
    table = pd.crosstab(pairs["actual"], pairs["predicted"], normalize="index")
    # Halves are rounded up, as Vega does.
    cells = [f"{np.floor(100 * share + 0.5 + 1e-9) / 100:.2f}" for share in table.to_numpy().ravel() if share > 0]
    # A class that was never hit has a 0 on the diagonal, so that it does not look like one without images.
    missed = [code for code in table.index if code not in table or table.at[code, code] == 0]
    svg = vl_convert.vegalite_to_svg(shown[f"confusion_shares_{split}"][0]["content"])
    assert sorted(re.findall(r">(\d\.\d\d)<", svg)) == sorted(cells + ["0.00"] * len(missed))


def test_undefined_metric_is_not_zero() -> None:
    rows = [
        {"rev": "workspace", "diagnosis": "mel", "metric": "precision", "value": ""},
        {"rev": "workspace", "diagnosis": "nv", "metric": "precision", "value": "0.0"},
    ]
    text = (ROOT / ".dvc/plots/per_class.json").read_text(encoding="utf-8")
    for anchor, field in (("<DVC_METRIC_X>", "value"), ("<DVC_METRIC_Y>", "diagnosis"), ('"<DVC_METRIC_COLOR>"', "{}")):
        text = text.replace(anchor, field)
    svg = vl_convert.vegalite_to_svg({**json.loads(text), "data": {"name": "rows", "values": rows}})
    assert re.findall(r">(not defined|\d\.\d\d)<", svg) == ["not defined", "0.00"]


@pytest.mark.parametrize("name", VIEWS)
def test_leak_stands_in_the_title(shown: Drawings, name: str) -> None:
    (drawn,) = shown[name]
    spec = drawn["content"]
    rows = spec["data"]["values"]
    assert name in NO_METRIC_OF_QUALITY or {row["leakage"] for row in rows} == {"none"}
    for leakage in ("none", "split by image"):
        changed = {**spec["data"], "values": [{**row, "leakage": leakage} for row in rows]}
        svg = vl_convert.vegalite_to_svg({**spec, "data": changed})
        stamped = name not in NO_METRIC_OF_QUALITY and leakage != "none"
        assert ("(LEAKY: too good)" in svg) == stamped


def test_page_is_complete_offline(shown_page: Path) -> None:
    page = shown_page.read_text(encoding="utf-8")
    assert set(re.findall(r"vegaEmbed\('#([^']+)', spec\)", page)) == set(VIEWS)
    assert "default-src 'none'" in page
    assert not [left for left in PLACEHOLDERS if left in page]

    addresses = Addresses()
    addresses.feed(page)
    assert [tag for tag, _ in addresses.found] == ["img"] * len(IMAGES)
    for _, address in addresses.found:
        assert "//" not in address
        with Image.open(shown_page.parent / address) as image:
            image.load()


OVERLAPS = """
const boxes = [...document.querySelectorAll(arguments[0])].map((one) => one.getBoundingClientRect());
return boxes.filter((a, n) => boxes.some((b, m) => n < m
  && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)).length;
"""
CUT = """
return [...document.querySelectorAll(".dvc svg text")].filter((text) => {
  const [inner, outer] = [text, text.closest("svg")].map((one) => one.getBoundingClientRect());
  const card = text.closest(".dvc > div").getBoundingClientRect();
  return inner.left < outer.left - 1 || inner.right > outer.right + 1 || outer.right > card.right;
}).map((text) => text.textContent);
"""


@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_and_axe_passes(browser: Any, shown_page: Path, width: int) -> None:
    for scheme in ("light", "dark"):
        look(browser, width, scheme)
        browser.get(shown_page.as_uri())
        until_drawn = "const done = arguments[0], drawn = () => document.querySelectorAll('svg.marks').length"
        browser.execute_async_script(f"{until_drawn}; setInterval(() => drawn() >= {len(VIEWS)} && done(), 100)")
        assert_fits(browser)
        assert_accessible(browser)
        assert browser.execute_script(CUT) == []
        for name in VIEWS:
            assert browser.execute_script(OVERLAPS, f"#{name} svg .role-axis-title text") == 0, name
        linked = {link.get_attribute("hash")[1:] for link in browser.find_elements("css selector", "nav a")}
        assert linked == {place.get_attribute("id") for place in browser.find_elements("css selector", ".dvc > div")}
        assert len(linked) == len(VIEWS) + len(IMAGES)


def test_two_revisions_in_one_plot(workspace: Path, tmp_path: Path) -> None:
    """In a copy, as other tests want the run as it was; with metrics changed by hand, to spare a training."""
    copy = tmp_path / "copy"
    shutil.copytree(workspace, copy, symlinks=True)
    run("git tag first", copy)
    for table in (copy / "plots").rglob("*.csv"):
        text = table.read_text(encoding="utf-8").rstrip().rsplit("\n", 1)[0]
        table.unlink()  # DVC leaves its files read-only, and may share them with its cache
        table.write_text(text + "\n", encoding="utf-8")
    run("dvc commit --force --quiet", copy)
    run("git commit --all --quiet --message second", copy)
    run("git tag second", copy)

    diff = drawings(copy, tmp_path / "diff", "diff", "first", "second")
    assert set(diff) == {*VIEWS, *IMAGES}
    for name in VIEWS:
        (drawn,) = diff[name]
        assert drawn["revisions"] == ["first", "second"], name
        assert_drawn(name, drawn["content"])
        svg = vl_convert.vegalite_to_svg(drawn["content"])
        assert ">first<" in svg, f"{name} does not name the first revision"
        assert ">second<" in svg, f"{name} does not name the second revision"
    for name in IMAGES:
        assert [drawn["revisions"] for drawn in diff[name]] == [["first"], ["second"]]
