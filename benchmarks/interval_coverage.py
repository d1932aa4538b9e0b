"""How often do the 95 % intervals hold the truth, with resamples of lesions and of images?

    PYTHONPATH=. python benchmarks/interval_coverage.py [--draws 1000]

Each draw is a new test set: 300 lesions of 1 to 6 images, which a model gets mostly all right or all wrong, and a
second model that is right on 5 in 100 more. Printed is in how many of 100 draws the interval of the accuracy, and the
paired interval of the difference, holds what is true of all lesions. Half a minute on one core.
"""

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta
from tqdm import tqdm

from lesions.evaluation.bootstrap import Bootstrap
from lesions.evaluation.metrics import Metrics

LESIONS = 300
TRUTHS = (0.7, 0.75)
RESAMPLES = 400


def images(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw one test set.

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


def held(seed: int, *, by_lesion: bool) -> list[bool]:
    """Return whether the intervals of one draw, of the accuracy and of the difference, hold the truth."""
    right, groups = images(seed)

    def metrics(weights: NDArray[np.float64]) -> Metrics:
        one, other = (weights @ right.T / weights.sum(axis=1, keepdims=True)).T
        return {"accuracy": one, "difference": other - one}

    estimates = Bootstrap(RESAMPLES, seed).estimates(metrics, groups if by_lesion else np.arange(len(groups)))
    truths = {"accuracy": TRUTHS[0], "difference": TRUTHS[1] - TRUTHS[0]}
    found = []
    for name, truth in truths.items():
        lower, upper = (estimates[name][0][end] for end in ("lower", "upper"))
        found.append(lower is not None and upper is not None and float(lower) <= truth <= float(upper))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="In how many of 100 draws do the intervals hold the truth?")
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    for by_lesion in (True, False):
        seeds = tqdm(range(draws), desc=f"by {'lesion' if by_lesion else 'image'}", disable=None, leave=False)
        shares = 100 * np.mean([held(seed, by_lesion=by_lesion) for seed in seeds], axis=0)
        errors = 1.96 * np.sqrt(shares * (100 - shares) / draws)
        print(
            f"resamples of {'lesions' if by_lesion else 'images'}: "
            + ", ".join(
                f"{name} {share:.1f} of 100 (± {error:.1f})"
                for name, share, error in zip(("accuracy", "difference"), shares, errors, strict=True)
            )
        )


if __name__ == "__main__":
    main()
