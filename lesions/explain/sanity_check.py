"""Do the heat maps depend on what the network learnt? A network with random weights must give others.

Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim: Sanity checks for saliency maps, NeurIPS 2018: the model parameter
randomisation test, with all layers at once.
"""

import warnings
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, rankdata

import lesions.models.common.determinism
from lesions.explain.explained import ExplainedSplit, sample
from lesions.explain.grad_cam import heat_maps

MAX_IMAGES = 100
DRAWS = 5
"""Networks of random weights: each alone responds, by chance, to the lesion or to the skin."""
ALIKE = 0.5
"""The mean rank correlation from which maps count as alike. Our choice: the paper names no bound."""


def check_split(model: keras.Model, split: ExplainedSplit, random: np.random.Generator, seed: int) -> dict[str, Any]:
    """Check the heat maps of a split's predictions on a random part of its images; see `check`.

    Args:
        model: the trained network.
        split: its images.
        random: chooses the part.
        seed: random seed of the weights.
    """
    chosen = sample(len(split.rows), MAX_IMAGES, random)
    images = split.pixels[split.rows[chosen]]
    predicted = split.probability[chosen].argmax(axis=1)
    return check(model, images, predicted, heat_maps(model, images, predicted), seed)


def check(
    model: keras.Model, pixels: NDArray[np.uint8], classes: NDArray[np.int64], maps: NDArray[np.float32], seed: int
) -> dict[str, Any]:
    """Compare maps with those of the same network with random weights.

    Args:
        model: the trained network; it has its weights again at the end.
        pixels: uint8, (N, height, width, 3).
        classes: (N,), the class that is explained of each image, also of the random networks.
        maps: (N, height, width), of `heat_maps`.
        seed: random seed of the weights.

    Returns:
        The mean Spearman correlation between the maps of one image, over images and draws, and of each draw;
        beside it that between the trained network's maps of different images, which says how much all maps have in
        common; and a verdict in words. Null where no two maps can be compared.
    """
    # In the model itself, for which heat maps are compiled already: compiling takes longer than the maps.
    learnt, drawn, random = model.get_weights(), random_weights(model, seed), np.random.default_rng(seed)
    draws = []
    try:
        for draw in range(DRAWS):
            # Another draw: each layer's weights in another order. Initialising anew takes longer than the maps.
            model.set_weights([random.permuted(weight) for weight in drawn] if draw else drawn)
            draws.append(correlations(maps, heat_maps(model, pixels, classes, f"random weights {draw + 1}")))
    finally:
        model.set_weights(learnt)
    mean = _mean(np.concatenate(draws))
    return {
        "images": len(pixels),
        "rank_correlation": mean,
        "of_each_draw": [_mean(draw) for draw in draws],
        "between_images": _mean(correlations(maps, np.roll(maps, 1, axis=0))) if len(maps) > 1 else None,
        "undefined_correlations": int(np.isnan(draws).sum()),
        "verdict": verdict(mean),
    }


def random_weights(model: keras.Model, seed: int) -> list[NDArray[Any]]:
    """Return weights drawn as before training; batch normalisation has seen nothing."""
    lesions.models.common.determinism.seed(seed % 2**32)
    weights: list[NDArray[Any]] = keras.models.clone_model(model).get_weights()
    return weights


def correlations(maps: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (N,): Spearman's rank correlation of each map with the other one; NaN where either is constant.

    Args:
        maps: (N, height, width).
        others: the same shape.
    """
    ranks = [rankdata(each.reshape(len(each), -1), axis=1) for each in (maps, others)]
    with warnings.catch_warnings(action="ignore"):  # of constant maps
        found: NDArray[np.float64] = pearsonr(*ranks, axis=1).statistic
    return found


def verdict(correlation: float | None) -> str:
    """Say what a mean rank correlation means."""
    if correlation is None:
        return "No map could be compared: all were constant."
    if correlation < ALIKE:
        return (
            f"Passed: with random weights the maps differ (mean rank correlation {correlation:.2f}, below {ALIKE}, a "
            "bound of our own), so they depend on the network's weights."
        )
    return (
        f"Failed: with random weights the maps are much the same (mean rank correlation {correlation:.2f}, {ALIKE} "
        "or more, a bound of our own), so they show the images rather than what the network learnt. Do not read them."
    )


def _mean(values: NDArray[np.float64]) -> float | None:
    defined = values[~np.isnan(values)]
    return round(float(defined.mean()), 4) if len(defined) else None
