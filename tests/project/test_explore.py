"""The notebook docs/explore.py runs from its own folder, and its numbers are those of the evaluation."""

import json
import runpy
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest


def test_notebook(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    drawn: list[str] = []

    def show() -> None:
        figure = plt.gcf()
        drawn.append(figure.get_suptitle() or figure.axes[0].get_title())
        plt.close(figure)

    monkeypatch.setattr(plt, "show", show)
    monkeypatch.chdir(workspace / "docs")
    with mpl.rc_context({"backend": "agg"}):
        runpy.run_path("explore.py")
    kinds = ("Images by class", "Six of each", "Loss", "Confusion matrix", "The most confident errors", "Reliability")
    assert all(title.startswith(kind) for title, kind in zip(drawn, kinds, strict=True))

    printed = capsys.readouterr().out
    metrics = json.loads((workspace / "metrics/evaluate.json").read_text())["val"]
    assert f"val: balanced accuracy {metrics['balanced_accuracy']:.3f}, 95 % interval [" in printed
    assert f"val: accuracy {metrics['accuracy']:.3f}\n" in printed
    assert "Groups in more than one split: 0\n" in printed
