"""Show where the network looks: a gallery of errors with heat maps, a check of these maps, and an embedding.

Of the test images, or of val where `evaluate.splits` leaves test out or there are none.
"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
from pathlib import Path

import numpy as np

from lesions.core.json_files import write_json
from lesions.core.stage import run_stage, say
from lesions.explain import embedding, explained, gallery, sanity_check
from lesions.models.common import saving
from lesions.params.evaluate import Evaluate
from lesions.params.explain import Explain

GALLERY = Path("reports/gallery")


def main() -> None:
    """Write the gallery, the embedding, and what is measured of both."""
    params = Explain.read()
    split = explained.read(Path("data"), Evaluate.read().splits)
    model = saving.load(Path("models/model.keras"))
    examples = gallery.choose(split.labels, split.probability, params.examples_per_class)
    say(f"Drawing heat maps of {len(examples)} images ...")
    counts = gallery.write_gallery(
        model, split, examples, params.examples_per_class, GALLERY, Path("plots/gallery.jpg")
    )
    random = np.random.default_rng(params.seed)
    say("Embedding the images ...")
    drawn = embedding.write_embedding(split, random, params.seed, Path("plots/embedding.png"))
    say("Comparing the heat maps with those of random weights ...")
    sanity = sanity_check.check_split(model, split, random, params.seed)
    found = {"split": split.split, "leakage": split.leakage, "gallery": counts, "embedding": drawn}
    write_json(Path("metrics/explain.json"), {**found, "sanity_check": sanity})
    print(f"{GALLERY}: {len(examples)} images of {split.split}. Heat maps: {sanity['verdict']}")
    if sanity["between_images"] is not None:
        print(f"Maps of different images have a rank correlation of {sanity['between_images']:.2f}.")
    if split.leakage != "none":
        print(f"WARNING: {split.leakage}. These images are no fair test; see metrics/split.json for what leaks.")


if __name__ == "__main__":
    run_stage(main)
