"""How often do tests of subgroups find a difference that is none, and one that is?

    PYTHONPATH=. python benchmarks/subgroup_tests.py [--draws 1000]

Each draw is a test set of two or four subgroups, of lesions of 1 to 3 images that are alike. The metric is the same in
all of them, or smaller in the first. Printed are how often p is below 0.05, and how often the intervals of differences
hold the true one. Three minutes on one core.
"""

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from lesions.evaluation.heterogeneity import omnibus_test
from lesions.evaluation.subgroup_comparison import difference
from lesions.evaluation.subgroup_estimates import Estimate, auc, balanced_accuracy, logits, proportion

ALIKE = 0.6
"""Share of the variance that images of one lesion have in common."""


def drawn(
    random: np.random.Generator, lesions: list[int], subgroups: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return of each image, (N,): its class, subgroup and lesion, and a standard normal number.

    Args:
        random: the generator.
        lesions: of each class, in each subgroup.
        subgroups: how many there are.
    """
    label, subgroup = (part.ravel() for part in np.meshgrid(np.repeat(range(len(lesions)), lesions), range(subgroups)))
    groups = np.repeat(np.arange(len(label)), random.integers(1, 4, len(label)))
    alike, own = random.normal(size=len(label))[groups], random.normal(size=len(groups))
    return label[groups], subgroup[groups], groups, np.sqrt(ALIKE) * alike + np.sqrt(1 - ALIKE) * own


def estimates(
    random: np.random.Generator, metric: str, lesions: list[int], truths: NDArray[np.float64]
) -> list[Estimate]:
    """Return a metric of each subgroup of one draw.

    Args:
        random: the generator.
        metric: sensitivity, AUC or balanced accuracy.
        lesions: of each class, in each subgroup; of a sensitivity and an auc, the first is melanoma.
        truths: of each subgroup.
    """
    label, subgroup, groups, noise = drawn(random, lesions, len(truths))
    every = [subgroup == number for number in range(len(truths))]
    if metric == "AUC":
        score = noise + np.sqrt(2) * norm.ppf(truths)[subgroup] * (label == 0)
        return [auc(label == 0, score, rows, groups) for rows in every]
    correct = noise < norm.ppf(truths)[subgroup]
    if metric == "sensitivity":
        return [proportion(correct, rows & (label == 0), groups) for rows in every]
    return [balanced_accuracy(correct, label, rows, groups) for rows in every]


def row(draws: int, metric: str, lesions: list[int], subgroups: int, truth: float, less: float) -> str:
    """Return the line of one setting.

    Args:
        draws: how many.
        metric: see `estimates`.
        lesions: see `estimates`.
        subgroups: how many there are.
        truth: of all subgroups but the first.
        less: by how much the first one's is smaller, in turn with 0.
    """
    random = np.random.default_rng(1)
    found = []
    for by in (0.0, less):
        truths = truth - by * (np.arange(subgroups) == 0)
        rejected = held = 0
        for _ in range(draws):
            every = estimates(random, metric, lesions, truths)
            values, covariance, _ = logits(every)
            rejected += omnibus_test(values, covariance)["p"] < 0.05
            first = difference(every[0], every[1], 0)
            held += float(first["lower"] or 0) <= truths[0] - truths[1] <= float(first["upper"] or 0)
        found += [rejected, held]
    shares = " | ".join(f"{100 * count / draws:.1f}" for count in found)
    return f"| {metric}, {truth} | {min(lesions)} | {subgroups} | {shares} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    print("| metric | lesions of the rarest class | subgroups | alike: p < .05 | holds | .15 less: p < .05 | holds |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for melanomas, subgroups in ((20, 2), (20, 4), (50, 2), (130, 2)):
        print(row(draws, "sensitivity", [melanomas], subgroups, 0.8, 0.15))
    for melanomas, subgroups in ((20, 2), (20, 4), (50, 2), (130, 2)):
        print(row(draws, "AUC", [melanomas, 200], subgroups, 0.9, 0.15))
    for rare in (1, 2, 5, 20):
        print(row(draws, "balanced accuracy", [200, 20, 30, rare, 40, rare, rare], 2, 0.7, 0.15))


if __name__ == "__main__":
    main()
