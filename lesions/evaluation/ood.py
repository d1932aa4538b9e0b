"""The out-of-distribution score: are images that show no lesion flagged, and how many that do are flagged as well?"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.evaluation import roc
from lesions.evaluation.bootstrap import rounded

COLUMNS = ["image_id", "split", "label", "leakage", "ood_score"]
OOD_IMAGES = ("generated", "shipped")
"""Images that show no lesion; see predict."""


def read_scores(file: Path) -> pd.DataFrame:
    """Read ood_scores.csv, with the score as a number.

    Raises:
        UserError: a column is missing, or a score is no finite number.
    """
    table = read_csv(file)
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise UserError(f"{file} has no column {', '.join(missing)}. Run `dvc repro calibrate --force`.")
    scores = pd.to_numeric(table["ood_score"], errors="coerce")
    wrong = ~np.isfinite(scores)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"{file}, row {row + 1} ({table['image_id'].iloc[row]}): expected a number, found "
            f"{table['ood_score'].iloc[row]!r}. Did training diverge? Its losses are in plots/history.csv."
        )
    # As float32, the bits that the threshold was chosen on.
    return table.assign(ood_score=scores.astype(np.float32).astype(np.float64))


def ood_report(table: pd.DataFrame, splits: list[str], ood_threshold: float) -> dict[str, Any]:
    """Return the fraction flagged of each kind of image, and the areas under the ROC curves.

    By label too, which is a diagnosis or what else an image shows: a rare diagnosis may be flagged as strange.

    Args:
        table: of `read_scores`.
        splits: which of val and test are evaluated.
        ood_threshold: the score above which an image is flagged, chosen on validation.
    """
    scores = {name: table.loc[table["split"] == name, "ood_score"].to_numpy() for name in (*splits, *OOD_IMAGES)}
    scores = {name: found for name, found in scores.items() if len(found)}
    report: dict[str, Any] = {"ood_threshold": ood_threshold, "chosen_for": "no flag on 99%"}
    for name, found in scores.items():
        report[name] = {"images": len(found), "flagged": fraction_flagged(found, ood_threshold)}
        if name in OOD_IMAGES:
            for split in (split for split in splits if split in scores):
                both = np.concatenate([found, scores[split]])
                positive = np.arange(len(both)) < len(found)
                area = roc.auc_and_average_precision(positive, both, np.ones((1, len(both))))[0][0]
                report[name][f"auc_against_{split}"] = rounded(float(area))
        report[name]["flagged_by_label"] = flagged_by_label(table[table["split"] == name], ood_threshold)
    return report


def fraction_flagged(scores: NDArray[np.float64], ood_threshold: float) -> float | None:
    """Return which fraction of the images is flagged."""
    return rounded(float((scores > ood_threshold).mean()))


def flagged_by_label(rows: pd.DataFrame, ood_threshold: float) -> dict[str, float | None]:
    """Return the fraction flagged of each `label`, in the order in which they stand."""
    by_label = (rows["ood_score"] > ood_threshold).groupby(rows["label"], sort=False).mean()
    return {str(label): rounded(share) for label, share in by_label.items()}
