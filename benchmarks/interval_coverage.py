"""How often do the 95 % intervals hold the truth?

    PYTHONPATH=. python benchmarks/interval_coverage.py [--draws 1000]

Two simulations. In the first each draw is a test set of 300 lesions of 1 to 6 images, which a model gets mostly all
right or all wrong, and a second model that is right on 5 in 100 more: resamples of lesions beside resamples of images.
In the second a draw has 4 to 133 melanomas beside 600 other lesions, of 1 to 3 images; scores of a lesion's images are
alike, and those of melanomas higher: the area under the ROC curve beside its bootstrap percentiles, the paired
difference of two areas, the sensitivity, and the balanced accuracy, beside its percentiles. Ten minutes on one core.
"""

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm
from tqdm import tqdm

from lesions.evaluation.auc_interval import auc_difference, auc_estimate
from lesions.evaluation.balanced_accuracy import balanced_accuracy_estimate
from lesions.evaluation.bootstrap import Bootstrap, Json
from lesions.evaluation.metrics import Metrics
from lesions.evaluation.roc import auc_and_average_precision, safe_divide

LESIONS = 300
TRUTHS = (0.7, 0.75)
RESAMPLES = 400
MELANOMAS = (4, 10, 20, 46, 133)
OTHERS = 600
AREAS = (0.97, 0.90)
SENSITIVITY, SPECIFICITY = 0.9, 0.8
ALIKE = 0.6
"""Share of the variance that images of one lesion have in common."""


def correct_images(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw one test set of the first simulation.

    Returns:
        Which images each of two models gets right, 1 or 0, (2, N), and the lesion of each, (N,).
    """
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(LESIONS), random.integers(1, 7, LESIONS))
    # How hard a lesion is, and the luck with an image, are the same for both. A lesion's own chance has a beta
    # distribution with the mean `truth` and much weight near 0 and 1.
    hardness, luck = random.random(LESIONS), random.random(len(groups))
    chances = [beta.ppf(hardness, 0.4 * truth, 0.4 * (1 - truth))[groups] for truth in TRUTHS]
    return (luck < np.array(chances)).astype(np.float64), groups


def by_lesion_or_image(seed: int, *, by_lesion: bool) -> dict[str, bool | None]:
    """Return whether the intervals of one draw of the first simulation hold the truth."""
    right, groups = correct_images(seed)

    def metrics(weights: NDArray[np.float64]) -> Metrics:
        one, other = (weights @ right.T / weights.sum(axis=1, keepdims=True)).T
        return {"accuracy": one, "difference": other - one}

    found = Bootstrap(RESAMPLES, seed).estimates(metrics, groups if by_lesion else np.arange(len(groups)))
    truths = {"accuracy": TRUTHS[0], "difference": TRUTHS[1] - TRUTHS[0]}
    return {name: holds(found[name][0], truth) for name, truth in truths.items()}


def holds(found: Json, truth: float) -> bool | None:
    """Return whether an interval holds the truth; None where none is given."""
    lower, upper = found["lower"], found["upper"]
    return None if lower is None or upper is None else float(lower) <= truth <= float(upper)


def few_melanomas(seed: int, *, melanomas: int, area: float) -> dict[str, bool | None]:
    """Return whether the intervals of one draw of the second simulation hold the truth."""
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(melanomas + OTHERS), random.integers(1, 4, melanomas + OTHERS))
    positive = groups < melanomas
    shift = norm.ppf(area) * np.sqrt(2)
    scores = np.stack([shift * positive + _noise(random, groups) for _ in range(2)])
    bootstrap = Bootstrap(RESAMPLES, seed)

    def percentiles(weights: NDArray[np.float64]) -> Metrics:
        return {"auc": auc_and_average_precision(positive, scores[0], weights)[0]}

    # A threshold fixed before, of another score.
    noise = norm.cdf(_noise(random, groups))
    detected, cleared = positive & (noise < SENSITIVITY), ~positive & (noise < SPECIFICITY)

    def rates(weights: NDArray[np.float64]) -> Metrics:
        sensitivity = safe_divide(weights @ detected, weights @ positive)
        specificity = safe_divide(weights @ cleared, weights @ ~positive)
        return {"sensitivity": sensitivity, "balanced": (sensitivity + specificity) / 2}

    at_threshold = bootstrap.estimates(rates, groups)
    label, balanced = positive.astype(np.int64), (SENSITIVITY + SPECIFICITY) / 2
    predicted = np.where(detected | cleared, label, 1 - label)
    difference = auc_difference(positive[None], [scores[:1]], [scores[1:]], groups)
    return {
        "AUC": holds(auc_estimate(positive, scores[0], groups), area),
        "AUC by percentiles": holds(bootstrap.estimates(percentiles, groups)["auc"][0], area),
        "AUC difference": holds(difference, 0),
        "sensitivity": holds(at_threshold["sensitivity"][0], SENSITIVITY),
        "balanced accuracy": holds(balanced_accuracy_estimate(label, predicted, groups), balanced),
        "balanced accuracy by percentiles": holds(at_threshold["balanced"][0], balanced),
    }


def _noise(random: np.random.Generator, groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (N,), standard normal, alike within a group."""
    common = random.normal(size=int(groups.max()) + 1)[groups]
    found: NDArray[np.float64] = np.sqrt(ALIKE) * common + np.sqrt(1 - ALIKE) * random.normal(size=len(groups))
    return found


def print_coverage(title: str, draw: Callable[[int], dict[str, bool | None]], draws: int) -> None:
    """Print in how many of 100 draws each interval holds the truth.

    Args:
        title: what stands before.
        draw: from a random seed to what is held.
        draws: how many are made.
    """
    found = [draw(seed) for seed in tqdm(range(draws), desc=title, disable=None, leave=False)]
    shares = []
    for name in found[0]:
        given = [bool(one[name]) for one in found if one[name] is not None]
        shares.append(f"{name} {100 * np.mean(given):.1f}" if given else f"{name} none given")
    print(f"{title}: {', '.join(shares)}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="In how many of 100 draws do the intervals hold the truth?")
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    error = 196 * np.sqrt(0.05 * 0.95 / draws)
    print(f"In how many of 100 draws the interval holds the truth; {draws} draws, give or take {error:.1f}:")
    for by_lesion in (True, False):
        title = f"resamples of {'lesions' if by_lesion else 'images'}"
        print_coverage(title, partial(by_lesion_or_image, by_lesion=by_lesion), draws)
    for area in AREAS:
        for melanomas in MELANOMAS:
            title = f"{melanomas} melanomas, AUC {area}"
            print_coverage(title, partial(few_melanomas, melanomas=melanomas, area=area), draws)


if __name__ == "__main__":
    main()
