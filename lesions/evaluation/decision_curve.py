"""Does acting on the model do more good than harm? Net benefit, beside treating everybody and nobody.

Whoever would biopsy ten to find one melanoma acts from a probability of 10 %: a biopsy in vain then costs a ninth of
what a melanoma found is worth. Net benefit counts the found less the price of those in vain, per picture (Vickers and
Elkin, Decision Curve Analysis: A Novel Method for Evaluating Prediction Models, Medical Decision Making 26, 2006). It
takes the probabilities at their word, so they are those after the temperature.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.evaluation.bootstrap import Bootstrap
from lesions.evaluation.calibration import tempered
from lesions.evaluation.metrics import Figures
from lesions.evaluation.operating_points import Question
from lesions.evaluation.predictions import Side

REPORTED = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
PLOTTED = tuple((np.arange(1, 51) / 100).tolist())
COLUMNS = ["question", "strategy", "threshold", "net_benefit"]
"""Of the plot's table."""


def net_benefit(
    thresholds: tuple[float, ...],
    positive: NDArray[np.bool_],
    probability: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Figures:
    """Return, (B, thresholds) each, the net benefit per picture.

    model, of treating who has at least that probability; treat_all; and gain, of the model over the better of
    treating all and none, whose net benefit is 0.

    Args:
        thresholds: probabilities below 1.
        positive: (N,).
        probability: (N,), of being positive.
        weights: (B, N).
    """
    limits = np.array(thresholds)
    price = limits / (1 - limits)
    called = probability[:, None] >= limits
    pictures = weights.sum(axis=1, keepdims=True)
    true, false = (weights @ (called & kind[:, None]).astype(np.float64) for kind in (positive, ~positive))
    ill = (weights @ positive)[:, None]
    model = (true - price * false) / pictures
    everybody = (ill - price * (pictures - ill)) / pictures
    return {"model": model, "treat_all": everybody, "gain": model - np.maximum(everybody, 0)}


def asked(question: Question, side: Side, temperature: float) -> tuple[Any, ...]:
    """Return which pictures are positive, their probabilities after the temperature, and groups, (N,) each."""
    return question.asked(replace(side, probability=tempered(side.probability, temperature)))


def judge(
    questions: dict[str, Question | str], side: Side, temperature: float | None, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Return for each question the net benefit of the model, and what it gains, with intervals, at `REPORTED`.

    Args:
        questions: by name, or why one cannot be asked.
        side: whose pictures.
        temperature: chosen on val; None where that was left out.
        bootstrap: how the intervals are drawn.
    """
    report: dict[str, Any] = {}
    for name, question in questions.items():
        if isinstance(question, str) or temperature is None:
            why = question if isinstance(question, str) else "the temperature is fitted on val, which is left out"
            report[name] = {"why": why}
            continue
        positive, probability, groups = asked(question, side, temperature)
        if not positive.any() or positive.all():
            report[name] = {"why": "needs positive pictures and others"}
            continue
        found = bootstrap.estimates(partial(net_benefit, REPORTED, positive, probability), groups)
        report[name] = {
            "pictures": len(positive),
            "positive_pictures": int(positive.sum()),
            "thresholds": [
                {
                    "threshold": threshold,
                    "model": found["model"][place],
                    "treat_all": found["treat_all"][place]["value"],
                    "treat_none": 0.0,
                    "gain": found["gain"][place],
                }
                for place, threshold in enumerate(REPORTED)
            ],
        }
    return report


def curves(questions: dict[str, Question | str], side: Side, temperature: float | None) -> pd.DataFrame:
    """Return the plot's table, `COLUMNS`, at `PLOTTED`.

    Treating all is drawn no lower than half the best net benefit below zero: at high thresholds it falls far below
    all that matters.
    """
    tables = [pd.DataFrame(columns=COLUMNS)]
    for name, question in questions.items():
        if isinstance(question, str) or temperature is None:
            continue
        positive, probability, _ = asked(question, side, temperature)
        if not positive.any() or positive.all():
            continue
        found = net_benefit(PLOTTED, positive, probability, np.ones((1, len(positive))))
        everybody = found["treat_all"][0]
        everybody = np.where(everybody >= -positive.mean() / 2, everybody, np.nan)
        lines = {"by the model": found["model"][0], "treat all": everybody, "treat none": np.zeros(len(PLOTTED))}
        for strategy, values in lines.items():
            rows = {"question": name, "strategy": strategy, "threshold": PLOTTED, "net_benefit": values.round(5)}
            tables.append(pd.DataFrame(rows))
    return pd.concat(tables[1:] or tables, ignore_index=True)
