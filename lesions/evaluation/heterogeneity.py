"""Do several estimates differ by more than chance, and how far apart are the values behind them?

Estimates are compared as logits, where they are nearly normal and no interval leaves 0 to 1. All functions take the
covariance of the estimates, which is diagonal unless groups have images in several subgroups.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2
from scipy.stats import t as student

from lesions.evaluation.common.proportion import LEVEL

MIN_TO_PREDICT = 3
"""With fewer sources nothing is said of another one."""


@dataclass(frozen=True)
class Pooled:
    """The values behind several estimates, taken for draws from one normal distribution.

    Attributes:
        mean: of the distribution.
        interval: of the mean.
        prediction: interval of the value behind one more estimate; None of fewer than `MIN_TO_PREDICT`.
        tau: standard deviation of the distribution.
        tau_interval: of it.
        i_squared: the fraction of the spread of the estimates that is not chance.
    """

    mean: float
    interval: tuple[float, float]
    prediction: tuple[float, float] | None
    tau: float
    tau_interval: tuple[float, float]
    i_squared: float


def empirical_logit(value: float, variance: float, cases: int) -> tuple[float, float]:
    """Return the logit of a metric between 0 and 1, and its standard error.

    Half a case is added to those found and to those missed, which removes most of the bias and has a value at 0 and 1
    (Gart and Zweifel, Biometrika 54, 1967). The cases are those of a proportion of the same variance.

    Args:
        value: the metric.
        variance: of the metric.
        cases: how many there are where the value is 0 or 1, whose observed variance is 0.
    """
    effective = value * (1 - value) / variance if variance > 0 and 0 < value < 1 else cases
    found, missed = effective * value + 0.5, effective * (1 - value) + 0.5
    return float(np.log(found / missed)), float(np.sqrt(1 / found + 1 / missed))


def weighted_mean(
    estimates: NDArray[np.float64], covariance: NDArray[np.float64], tau2: float = 0.0
) -> tuple[float, float, float]:
    """Return the mean of estimates by inverse variance, its variance, and Cochran's Q (Biometrics 10, 1954).

    Args:
        estimates: (S,).
        covariance: (S, S), of the estimates.
        tau2: variance of the values behind them.
    """
    weights = np.linalg.pinv(covariance + tau2 * np.eye(len(estimates)), hermitian=True)
    variance = 1 / weights.sum()
    mean = variance * (weights @ estimates).sum()
    rest = estimates - mean
    return float(mean), float(variance), float(rest @ weights @ rest)


def omnibus_test(estimates: NDArray[np.float64], covariance: NDArray[np.float64]) -> dict[str, float]:
    """Return Cochran's `q`, its `degrees_of_freedom`, and `p`, if all estimates were of one value.

    Args:
        estimates: (S,).
        covariance: (S, S), of the estimates.
    """
    q, degrees = weighted_mean(estimates, covariance)[2], len(estimates) - 1
    return {"q": q, "degrees_of_freedom": degrees, "p": float(chi2.sf(q, degrees))}


def pool(estimates: NDArray[np.float64], covariance: NDArray[np.float64]) -> Pooled:
    """Return the random-effects model of at least two estimates.

    Tau is Paule and Mandel's (J. Res. Natl. Bur. Stand. 87, 1982), which Veroniki et al. recommend (Research Synthesis
    Methods 7, 2016), and its interval the Q profile (Viechtbauer, Statistics in Medicine 26, 2007). The mean's interval
    is Hartung and Knapp's (Statistics in Medicine 20, 2001), never narrower than without (Roever, Knapp and Friede, BMC
    Medical Research Methodology 15, 2015); with this tau that is a t distribution. Prediction interval and I squared:
    Higgins, Thompson and Spiegelhalter (J. R. Stat. Soc. A 172, 2009); Higgins and Thompson (Stat. in Med. 21, 2002).

    Args:
        estimates: (S,).
        covariance: (S, S), of the estimates.
    """
    degrees = len(estimates) - 1

    def tau2_at(q: float) -> float:
        """Return the variance with which Q is as expected; Q falls with it."""
        if weighted_mean(estimates, covariance)[2] <= q:
            return 0.0
        end = float(np.trace(covariance))
        while weighted_mean(estimates, covariance, end)[2] > q:
            end *= 2
        return float(brentq(lambda tau2: weighted_mean(estimates, covariance, tau2)[2] - q, 0, end))

    tau2 = tau2_at(degrees)
    mean, variance, _ = weighted_mean(estimates, covariance, tau2)
    reach = student.ppf((1 + LEVEL) / 2, degrees) * np.sqrt(variance)
    prediction = None
    if len(estimates) >= MIN_TO_PREDICT:
        further = student.ppf((1 + LEVEL) / 2, degrees - 1) * np.sqrt(tau2 + variance)
        prediction = (mean - further, mean + further)
    ends = [tau2_at(float(chi2.ppf(share, degrees))) for share in ((1 + LEVEL) / 2, (1 - LEVEL) / 2)]
    q = weighted_mean(estimates, covariance)[2]
    return Pooled(
        mean,
        (mean - reach, mean + reach),
        prediction,
        tau2**0.5,
        (ends[0] ** 0.5, ends[1] ** 0.5),
        max(0.0, 1 - degrees / q) if q else 0.0,
    )
