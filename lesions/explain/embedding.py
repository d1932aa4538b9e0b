"""The embedding: a map of images, on which those with similar features are near one another."""

import textwrap
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from lesions.core.sanitize import sanitize, shorten
from lesions.explain.explained import ExplainedSplit, leakage_note, sample

MAX_IMAGES = 2000
"""Images: t-SNE of these takes some seconds, and more dots hide one another."""
MIN_IMAGES = 10
"""Below, t-SNE's neighbourhoods mean nothing; PCA alone places the images."""
COMPONENTS = 50
"""As van der Maaten and Hinton did before t-SNE (JMLR 9, 2008)."""
PERPLEXITY = 30
COLOURS = ("#d55e00", "#e69f00", "#cc79a7", "#0072b2", "#56b4e9", "#000000", "#009e73", "#f0e442")
"""The palette of Okabe and Ito, Color universal design: those who see no red or no green tell them apart."""
MARKERS = "os^vDPX*<>p"
"""Shapes as well, for more classes than colours."""
LONGEST = 24

# Names of classes are no formulas, whatever dollar signs they hold.
STYLE: Any = {
    **sns.axes_style("white"),
    "text.parse_math": False,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
}


def write_embedding(split: ExplainedSplit, random: np.random.Generator, seed: int, path: Path) -> dict[str, Any]:
    """Draw the embedding of a split's images, or of a random part of them if there are many.

    Args:
        split: its images.
        random: chooses the part.
        seed: random seed of `places`.
        path: of the PNG.

    Returns:
        The method, how many images are drawn, of how many, and the number of features.
    """
    chosen = sample(len(split.rows), MAX_IMAGES, random)
    place, method = places(split.features[chosen], seed)
    title = f"{split.split.capitalize()} images as the network sees them, by diagnosis ({method})"
    note = f"{leakage_note(split.leakage)}; {len(chosen):,} of {len(split.rows):,} images; nearness alone has a meaning"
    draw(place, split.labels[chosen], split.classes, title, note, path)
    return {
        "method": method,
        "images": len(chosen),
        "images_of_split": len(split.rows),
        "features": split.features.shape[1],
    }


def places(found: NDArray[np.float32], seed: int) -> tuple[NDArray[np.float32], str]:
    """Return a place in the plane for each image, (N, 2), and by what method.

    PCA to at most 50 components, then t-SNE; PCA alone for fewer than 10 images, or fewer different ones.

    Args:
        found: (N, features), N at least 1.
        seed: of both.
    """
    # The last bits of sums hang on how many threads share them.
    with threadpool_limits(1):
        if len(np.unique(found, axis=0)) < 3:
            # Two places at most: a line, or a point.
            middle = found - found.mean(axis=0)
            along = np.linalg.norm(middle, axis=1) * np.where(middle @ middle[0] < 0, -1, 1)
            return np.stack([along, np.zeros_like(along)], axis=1).astype(np.float32), "PCA"
        components = min(COMPONENTS, *found.shape)
        reduced = PCA(components, svd_solver="randomized", random_state=seed).fit_transform(found)
        if len(found) < MIN_IMAGES or components < 2:
            return np.pad(reduced, ((0, 0), (0, 1)))[:, :2].astype(np.float32), "PCA"
        perplexity = min(PERPLEXITY, (len(found) - 1) / 3)
        placed = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1).fit_transform(reduced)
        return placed.astype(np.float32), "t-SNE"


def draw(
    place: NDArray[np.float32], labels: NDArray[np.int64], classes: list[str], title: str, note: str, path: Path
) -> None:
    """Write a PNG with a dot an image, in its class's colour and shape.

    Args:
        place: (N, 2).
        labels: (N,), the true labels, as integers.
        classes: their names; one without images has no place in the legend.
        title: stands over it.
        note: stands under the title, smaller.
        path: of the PNG.
    """
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; metrics/explain.json has it right.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(8, 6), layout="constrained")
        axes = figure.subplots()
        counts = np.bincount(labels, minlength=len(classes))
        for label in np.flatnonzero(counts).tolist():
            axes.scatter(
                place[labels == label, 0],
                place[labels == label, 1],
                s=18,
                color=COLOURS[label % len(COLOURS)],
                marker=MARKERS[label % len(MARKERS)],
                alpha=0.8,
                linewidths=0,
                zorder=3 - counts[label] / counts.sum(),  # the rare over the common
                label=f"{_short(classes[label])}  {counts[label]:,}",
            )
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color("#c8c8c8")
        figure.suptitle(title, fontsize=13)
        axes.set_title(textwrap.fill(sanitize(note), 100), fontsize=9, color="#404040")
        columns = -(-len(axes.get_legend_handles_labels()[1]) // 24)
        axes.legend(
            loc="upper left", bbox_to_anchor=(1, 1), frameon=False, markerscale=1.8, ncols=columns, title="class"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without the software's name and version, which would change the file's hash.
        figure.savefig(path, dpi=110, metadata={"Software": None})


def _short(name: str) -> str:
    """Return a class's name for the legend, which leaves out what begins with an underscore."""
    return shorten(sanitize(name).lstrip("_"), LONGEST)
