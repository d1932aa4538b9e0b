"""The two questions of a clinic: is it a melanoma, and is it malignant?

A score, the probability of the classes that count as positive, is compared with a threshold. Thresholds are chosen
on validation and read on test.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.evaluation import roc as ranking
from lesions.evaluation.bootstrap import Bootstrap, alone
from lesions.evaluation.metrics import Figures
from lesions.evaluation.predictions import Side
from lesions.evaluation.roc import divided

TARGETS = (0.80, 0.90, 0.95)
READERS = {"sensitivity": 0.866, "specificity": 0.713}
"""The mean of 58 dermatologists who told melanomas from nevi by dermoscopy alone (Haenssle et al., Man against machine,
Annals of Oncology 29, 2018). On their 100 pictures, not on ours."""
PREVALENCES = (0.01, 0.05, 0.10, 0.20)
"""From a screening of everybody to a clinic for pigmented lesions."""
WITHOUT_VAL = "thresholds are chosen on val, of which no picture takes part; see evaluate.sides"


@dataclass(frozen=True)
class Question:
    """One class, or several, against others.

    Attributes:
        positive: the classes that are looked for.
        negative: those they are told from; pictures of any other class are left out.
        readers: the sensitivity and specificity that people had, where it was measured.
    """

    positive: list[str]
    negative: list[str]
    readers: dict[str, float] | None = None

    def asked(self, side: Side) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]:
        """Return of the pictures that take part whether they are positive, the score, and the group, (N,) each."""
        ours = side.only(side.table["label"].isin(self.positive + self.negative).to_numpy())
        score = ours.probability[:, [side.classes.index(name) for name in self.positive]].sum(axis=1)
        return ours.table["label"].isin(self.positive).to_numpy(), score, ours.groups


def questions(classes: pd.DataFrame) -> dict[str, Question | str]:
    """Return the questions by name, or why one cannot be asked.

    Args:
        classes: `data/clean/classes.csv`.
    """
    labels = list(classes["label"])
    melanoma = list(classes.loc[classes["of"] == "mel", "label"])
    natures = {nature: list(classes.loc[classes["nature"] == nature, "label"]) for nature in ("malignant", "benign")}
    return {
        "melanoma": Question(melanoma, [label for label in labels if label not in melanoma], READERS)
        if melanoma
        else "no class is melanoma alone",
        "malignant": Question(natures["malignant"], natures["benign"])
        if all(natures.values())
        else "data/clean/classes.csv states no malignant class, or no benign one",
    }


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it was chosen for.

    Attributes:
        figure: sensitivity or specificity.
        target: the least value that the figure was to have on validation.
        threshold: positive is who scores at least this; None where no score reaches the target.
        of_readers: whether the target is what people reached.
    """

    figure: str
    target: float
    threshold: float | None
    of_readers: bool = False

    @property
    def chosen_for(self) -> str:
        """Say what the threshold was chosen for."""
        if self.of_readers:
            return f"readers' {self.figure} {self.target:.1%} on val"
        return f"{self.figure} of at least {self.target:.0%} on val"


def operating_points(
    positive: NDArray[np.bool_], score: NDArray[np.float64], readers: dict[str, float] | None = None
) -> list[OperatingPoint]:
    """Choose for each target the threshold that reaches it and gives away least of the other figure.

    Args:
        positive: (N,), of validation.
        score: (N,).
        readers: people's sensitivity, a target too, if it was measured.

    Returns:
        None as threshold where there are no positives or no others, or where the highest score of all is shared by
        too many others.
    """
    thresholds = np.unique(score)[::-1]
    true, false = (found[0, 1:] for found in ranking.counts(positive, score, np.ones((1, len(score)))))
    points = []
    for figure, target, of_readers in _wanted(readers):
        threshold = None
        if positive.any() and not positive.all():
            # Counted in whole pictures, with room for the last bit of a fraction.
            if figure == "sensitivity":
                reached = np.flatnonzero(true >= target * true[-1] - 1e-9)[:1]
            else:
                reached = np.flatnonzero(false <= (1 - target) * false[-1] + 1e-9)[-1:]
            threshold = float(thresholds[reached[0]]) if len(reached) else None
        points.append(OperatingPoint(figure, target, threshold, of_readers))
    return points


def chosen_before(thresholds: dict[str, float | None], readers: dict[str, float] | None = None) -> list[OperatingPoint]:
    """Return the points that `operating_points` chose for a model, from what is kept of them.

    Args:
        thresholds: by what they were chosen for, as models/decision.json has them.
        readers: as for `operating_points`.
    """
    points = [OperatingPoint(figure, target, None, of_readers) for figure, target, of_readers in _wanted(readers)]
    return [replace(point, threshold=thresholds.get(point.chosen_for)) for point in points]


def _wanted(readers: dict[str, float] | None) -> list[tuple[str, float, bool]]:
    """Return the targets: the figure, its least value, and whether that is what people reached."""
    wanted = [(figure, target, False) for figure in ("sensitivity", "specificity") for target in TARGETS]
    return [*wanted, ("sensitivity", readers["sensitivity"], True)] if readers else wanted


def ranks(
    positive: NDArray[np.bool_],
    score: NDArray[np.float64],
    weights: NDArray[np.float64],
    readers: dict[str, float] | None = None,
) -> Figures:
    """Return, (B,) each, the figures without a threshold.

    auc; partial_auc_above_80_sensitivity, at most 0.2 (see `ranking.partial_auc`); average_precision; and where
    people's sensitivity was measured, specificity_at_readers_sensitivity: the ROC curve's, as Haenssle et al. compare
    theirs with readers. No threshold is chosen for it: it says how well the score ranks, not what a threshold will do.
    """
    auc, average_precision = ranking.areas(positive, score, weights)
    upper_part = ranking.partial_auc(positive, score, weights, 0.8)
    found = {"auc": auc, "partial_auc_above_80_sensitivity": upper_part, "average_precision": average_precision}
    if readers:
        beside = ranking.specificity_at(positive, score, weights, readers["sensitivity"])
        found["specificity_at_readers_sensitivity"] = beside
    return found


def at(
    thresholds: list[float], positive: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.float64]
) -> Figures:
    """Return, (B, thresholds) each, what thresholds do.

    sensitivity, specificity, ppv, npv; number_needed_to_biopsy, how many are called positive for each that is, at
    the prevalence of these pictures; and by Bayes's rule ppv and npv at the prevalences of `PREVALENCES`.
    """
    called = score[:, None] >= np.array(thresholds)
    ill = positive[:, None]
    true, missed, false, rejected = (
        weights @ kind.astype(np.float64) for kind in (ill & called, ill & ~called, ~ill & called, ~ill & ~called)
    )
    sensitivity, specificity = divided(true, true + missed), divided(rejected, false + rejected)
    found = {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": divided(true, true + false),
        "npv": divided(rejected, rejected + missed),
        "number_needed_to_biopsy": divided(true + false, true),
    }
    for prevalence in PREVALENCES:
        detected, cleared = sensitivity * prevalence, specificity * (1 - prevalence)
        found[f"ppv_at_{prevalence:.0%}"] = divided(detected, detected + (1 - prevalence) - cleared)
        found[f"npv_at_{prevalence:.0%}"] = divided(cleared, cleared + prevalence - detected)
    return found


def judge(
    question: Question, sides: dict[str, Side], bootstrap: Bootstrap, points: list[OperatingPoint] | None = None
) -> dict[str, Any]:
    """Return all that is found of a question, with intervals.

    Args:
        question: what is asked.
        sides: by name, such as val and test, or one of them.
        bootstrap: how the intervals are drawn.
        points: those whose thresholds are read; None chooses them on val, and none without val.
    """
    asked = {name: question.asked(side) for name, side in sides.items()}
    asked = {name: found for name, found in asked.items() if len(found[0])}
    report: dict[str, Any] = {"positive": question.positive, "negative": question.negative}
    for name, (positive, score, groups) in asked.items():
        report[name] = {
            "pictures": len(positive),
            "positive_pictures": int(positive.sum()),
            **alone(bootstrap.estimates(partial(ranks, positive, score, readers=question.readers), groups)),
        }
    if points is None:
        if "val" not in asked:
            return report | {"operating_points": [], "why": WITHOUT_VAL}
        points = operating_points(*asked["val"][:2], question.readers)
    report["operating_points"] = [
        {"chosen_for": point.chosen_for, "threshold": point.threshold}
        | ({"readers": question.readers} if point.of_readers else {})
        | ({} if point.threshold is not None else {"why": "no threshold reaches it on val"})
        for point in points
    ]
    reached = [number for number, point in enumerate(points) if point.threshold is not None]
    thresholds = [point.threshold for point in points if point.threshold is not None]
    for name, (positive, score, groups) in asked.items() if reached else ():
        read = bootstrap.estimates(partial(at, thresholds, positive, score), groups)
        for place, number in enumerate(reached):
            report["operating_points"][number][name] = {figure: found[place] for figure, found in read.items()}
    return report
