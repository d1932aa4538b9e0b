"""Are pictures that show no lesion flagged, and how many that do are flagged as well?"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.evaluation import roc as ranking
from lesions.evaluation.bootstrap import rounded

SHARE = 0.99
"""Of val's pictures are not flagged."""
FIXED = ["image_id", "split", "label", "protocol", "unlikeness"]
OTHERS = ("generated", "shipped")
"""Pictures that show no lesion; see predict."""


def read(file: Path) -> pd.DataFrame:
    """Read unlikeness.csv, with the score as a number.

    Raises:
        UserError: a column is missing, or a score is no finite number.
    """
    table = read_csv(file)
    missing = [column for column in FIXED if column not in table]
    if missing:
        raise UserError(f"{file} has no column {', '.join(missing)}. Run `dvc repro predict --force`.")
    scores = pd.to_numeric(table["unlikeness"], errors="coerce")
    wrong = ~np.isfinite(scores)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"{file}, row {row + 1} ({table['image_id'].iloc[row]}): expected a number, found "
            f"{table['unlikeness'].iloc[row]!r}. Did training diverge? Its losses are in plots/history.csv."
        )
    return table.assign(unlikeness=scores)


def judge(table: pd.DataFrame, sides: list[str]) -> dict[str, Any]:
    """Return the threshold, chosen on val, the fraction flagged of each kind of picture, and the areas.

    By label too, which is a diagnosis or what else a picture shows: a rare diagnosis may be flagged as strange.

    Args:
        table: of `read`.
        sides: which of val and test may be looked at.
    """
    scores = {name: table.loc[table["split"] == name, "unlikeness"].to_numpy() for name in (*sides, *OTHERS)}
    scores = {name: found for name, found in scores.items() if len(found)}
    report: dict[str, Any] = {"flagged_above": None}
    if "val" in scores:
        # A score that occurs, so that nothing is rounded.
        report["flagged_above"] = float(np.quantile(scores["val"], SHARE, method="higher"))
        report["chosen_for"] = f"no flag on {SHARE:.0%} of val"
    else:
        report["why"] = "it is chosen on val, of which no picture takes part; see evaluate.sides"
    threshold = report["flagged_above"]
    for name, found in scores.items():
        report[name] = {"pictures": len(found)}
        report[name]["flagged"] = share_flagged(found, threshold)
        if name in OTHERS:
            for side in (side for side in sides if side in scores):
                both = np.concatenate([found, scores[side]])
                positive = np.arange(len(both)) < len(found)
                area = ranking.areas(positive, both, np.ones((1, len(both))))[0][0]
                report[name][f"auc_against_{side}"] = rounded(float(area))
        if threshold is not None:
            report[name]["flagged_by_label"] = flagged_by_label(table[table["split"] == name], threshold)
    return report


def share_flagged(scores: NDArray[np.float64], threshold: float | None) -> float | None:
    """Return which fraction of the pictures is flagged; None where no threshold is known."""
    return None if threshold is None else rounded(float((scores > threshold).mean()))


def flagged_by_label(rows: pd.DataFrame, threshold: float) -> dict[str, float | None]:
    """Return the fraction flagged of each `label`, in the order in which they stand."""
    by_label = (rows["unlikeness"] > threshold).groupby(rows["label"], sort=False).mean()
    return {str(label): rounded(share) for label, share in by_label.items()}
