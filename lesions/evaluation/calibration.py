"""Are the probabilities as high as the model is often right, and what temperature would make them so?"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from lesions.evaluation.bootstrap import rounded
from lesions.evaluation.metrics import surprise
from lesions.evaluation.predictions import Side

BINS = 15
"""As many as Guo et al., On Calibration of Modern Neural Networks, ICML 2017."""
TEMPERATURES = (0.05, 20.0)
"""Between these a temperature is looked for; beyond, all answers are certain, or all alike."""


def tempered(probability: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities, (N, classes), that the logits divided by a temperature give (Guo et al., 2017).

    Their order within a picture stays, and so do the answers.
    """
    least = np.finfo(np.float64).tiny
    logits = np.log(np.maximum(probability, least)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def temperature(label: NDArray[np.int64], probability: NDArray[np.float64]) -> float:
    """Return the temperature with the least log loss, to three digits.

    Args:
        label: (N,), of validation.
        probability: (N, classes).
    """
    found = minimize_scalar(
        lambda power: float(surprise(label, tempered(probability, float(np.exp(power)))).mean()),
        bounds=tuple(np.log(TEMPERATURES)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(f"{np.exp(found.x):.3g}")


def reliability(label: NDArray[np.int64], probability: NDArray[np.float64]) -> list[dict[str, float | int | None]]:
    """Return how often the answers are right, by how sure they are.

    Args:
        label: (N,).
        probability: (N, classes).

    Returns:
        At most `BINS` bins of equal mass, the least sure first: `pictures`, and the means `confidence` (of the most
        probable class) and `accuracy`. Equally sure pictures stand in their order.
    """
    confidence = probability.max(axis=1)
    hit = probability.argmax(axis=1) == label
    order = np.argsort(confidence, kind="stable")
    return [
        {
            "pictures": len(bin_),
            "confidence": rounded(float(confidence[bin_].mean())),
            "accuracy": rounded(float(hit[bin_].mean())),
        }
        for bin_ in np.array_split(order, min(BINS, len(order)))
    ]


def curves(side: Side, temperature: float | None) -> pd.DataFrame:
    """Return the table of the reliability diagram: `probabilities` (before or after the temperature) and the bins."""
    tables = [pd.DataFrame(columns=["probabilities", "pictures", "confidence", "accuracy"])]
    for name, power in (("before the temperature", 1.0), ("after the temperature", temperature)):
        if power is not None and len(side.label):
            table = pd.DataFrame(reliability(side.label, tempered(side.probability, power)))
            table.insert(0, "probabilities", name)
            tables.append(table)
    return pd.concat(tables[1:] or tables, ignore_index=True)


def expected_error(label: NDArray[np.int64], probability: NDArray[np.float64]) -> float:
    """Return the expected calibration error: the mean difference of confidence and accuracy over equal-mass bins.

    Equal mass, since bins of equal width leave most pictures in one (Nixon et al., Measuring Calibration in Deep
    Learning, CVPR Workshops 2019). It is never 0, even of perfect probabilities, and larger the fewer pictures a
    bin holds.
    """
    confidence = probability.max(axis=1)
    surplus = confidence - (probability.argmax(axis=1) == label)
    order = np.argsort(confidence, kind="stable")
    bins = np.array_split(surplus[order], min(BINS, len(order)))
    return float(sum(abs(bin_.sum()) for bin_ in bins) / len(label))


def described(label: NDArray[np.int64], probability: NDArray[np.float64]) -> dict[str, object]:
    """Return log loss, Brier score, expected calibration error and the reliability table."""
    truth = np.eye(probability.shape[1])[label]
    return {
        "log_loss": rounded(float(surprise(label, probability).mean())),
        "brier": rounded(float(((probability - truth) ** 2).sum(axis=1).mean())),
        "expected_calibration_error": rounded(expected_error(label, probability)),
        "reliability": reliability(label, probability),
    }


def judge(sides: dict[str, Side]) -> dict[str, Any]:
    """Return each side's calibration before and after the temperature that fits val; without val, before alone."""
    found: dict[str, Any] = {"temperature": None}
    if "val" in sides:
        found["temperature"] = temperature(sides["val"].label, sides["val"].probability)
        if found["temperature"] in TEMPERATURES:
            found["warning"] = "the temperature is at the end of what is looked at: val is too easy, or all alike"
    else:
        found["why"] = "it is fitted on val, and evaluate.sides leaves that out"
    return found | {name: before_and_after(side, found["temperature"]) for name, side in sides.items()}


def before_and_after(side: Side, temperature: float | None) -> dict[str, Any]:
    """Return one side's calibration before a temperature, and, where there is one, after it."""
    found = {"before": described(side.label, side.probability)}
    if temperature is not None:
        found["after"] = described(side.label, tempered(side.probability, temperature))
    return found
