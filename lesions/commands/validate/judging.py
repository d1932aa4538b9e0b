"""All that `evaluate` finds of one side, of a collection: by the model's own thresholds and temperature."""

from typing import Any

import numpy as np
import pandas as pd

from lesions.core.errors import UserError
from lesions.evaluation import calibration, decision_curve, subgroups
from lesions.evaluation import ood as unlikeness
from lesions.evaluation import operating_points as clinical
from lesions.evaluation import selective as abstention
from lesions.evaluation import split_report as one_side
from lesions.evaluation.bootstrap import Bootstrap, rounded
from lesions.evaluation.decision import Decision
from lesions.evaluation.operating_points import Question
from lesions.evaluation.predictions import Side

NAME = "collection"
"""What the report calls the pictures judged, where evaluate's has test."""


def questions(decision: Decision) -> dict[str, Question | str]:
    """Return the questions as the model's decision asks them, or why one cannot be asked.

    Raises:
        UserError: the decision does not name the classes that a question tells the others from.
    """
    found: dict[str, Question | str] = {}
    for name in ("melanoma", "malignant"):
        asked = decision.thresholds.get(name)
        if asked is None:
            found[name] = f"the model's classes do not allow the question: decision.json has no {name}"
        elif asked.negative is None:
            raise UserError(
                f"decision.json does not name the classes that {name} is told from: an earlier version wrote it. Make "
                "it anew with `dvc repro evaluate`, which trains nothing."
            )
        else:
            found[name] = Question(asked.positive, asked.negative, clinical.READERS if name == "melanoma" else None)
    return found


def judge(
    side: Side, answers: pd.DataFrame, decision: Decision, train: "pd.Series[str] | None", bootstrap: Bootstrap
) -> dict[str, Any]:
    """Return the figures.

    Args:
        side: the pictures of classes that the model knows.
        answers: a row each, in the same order, with `label` and `unlikeness`.
        decision: the model's.
        train: the labels of the training pictures, whose shares are the baselines; None takes the collection's.
        bootstrap: how the intervals are drawn.
    """
    labels = pd.Series(side.table["label"]) if train is None else train
    prior = np.array([(labels == name).sum() for name in side.classes]) / len(labels)
    asked = questions(decision)
    melanoma = asked["melanoma"]
    limit = decision.unlikeness.flagged_above
    return {
        "intervals": f"95 %, percentiles of {bootstrap.resamples} bootstrap resamples of the groups",
        "majority_class": side.classes[int(prior.argmax())],
        "baselines_are_of": "this collection: the training pictures are not here" if train is None else "train",
        NAME: one_side.judge(side, prior, bootstrap),
        "questions": {
            name: {"why": question}
            if isinstance(question, str)
            else clinical.judge(
                question,
                {NAME: side},
                bootstrap,
                clinical.chosen_before(decision.thresholds[name].at_least, question.readers),
            )
            for name, question in asked.items()
        },
        "calibration": {
            "temperature": decision.temperature,
            "chosen_on": "the model's own validation pictures",
            **calibration.before_and_after(side, decision.temperature),
        },
        "abstention": abstention.judge(side, bootstrap),
        "unlikeness": {
            "flagged_above": limit,
            "pictures": len(answers),
            "flagged": unlikeness.share_flagged(answers["unlikeness"].to_numpy(), limit),
            **({} if limit is None else {"flagged_by_label": unlikeness.flagged_by_label(answers, limit)}),
        },
        "subgroups": subgroups.judge(side, melanoma.positive[0] if isinstance(melanoma, Question) else None, bootstrap),
        "decision_curves": decision_curve.judge(asked, side, decision.temperature, bootstrap),
    }


def unknown_classes(answers: pd.DataFrame, probabilities: pd.DataFrame, decision: Decision) -> list[dict[str, Any]]:
    """Return for each diagnosis that the model does not know what it makes of its pictures; nothing is right or wrong.

    Args:
        answers: a row a picture: `label`, `unlikeness`, and, where the model has such a question, `alert_melanoma` and
            `alert_malignant`, None where no threshold is known.
        probabilities: the same rows, a column a class.
        decision: the model's.
    """
    limit = decision.unlikeness.flagged_above
    report = []
    for label, rows in answers.groupby("label"):
        entry: dict[str, Any] = {"diagnosis": label, "pictures": len(rows)}
        for question in decision.thresholds:
            alerts = rows[f"alert_{question}"]
            entry[f"alert_{question}"] = None if alerts.isna().any() else rounded(float(alerts.astype(bool).mean()))
        entry["unlike"] = unlikeness.share_flagged(rows["unlikeness"].to_numpy(), limit)
        called = probabilities.loc[rows.index].to_numpy().argmax(axis=1)
        entry["called"] = {name: int((called == place).sum()) for place, name in enumerate(decision.classes)}
        report.append(entry)
    return report
