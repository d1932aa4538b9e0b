"""`synthetic`: images that this project draws itself, in HAM10000's shape, with real defects.

The same classes in about the same proportions, several images of some lesions, the same columns with the
same gaps; and a few duplicates under other lesions, one of them with another diagnosis, one mirrored and compressed
anew, and a broken file, so that every stage meets what it is for.
"""

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from numpy.random import Generator
from tqdm import tqdm

from lesions.core.deterministic_zip import write_archive
from lesions.core.errors import UserError
from lesions.core.stage import say
from lesions.params.download import Download
from lesions.sources.common.raw_data import Fetched, describe_file
from lesions.sources.synthetic.drawing import CAMERAS, draw_member
from lesions.sources.synthetic.exact import normals

IMAGES = {"mel": 1113, "bcc": 514, "akiec": 327, "bkl": 1099, "nv": 6705, "df": 115, "vasc": 142}
LESIONS = {"mel": 614, "bcc": 327, "akiec": 228, "bkl": 727, "nv": 5403, "df": 73, "vasc": 98}
MEAN_AGES = {"mel": 61, "bcc": 67, "akiec": 67, "bkl": 64, "nv": 46, "df": 53, "vasc": 51}
AGE_DEVIATIONS = {"mel": 15, "bcc": 14, "akiec": 11, "bkl": 14, "nv": 15, "df": 14, "vasc": 22}
"""HAM10000's counts and ages in years, by diagnosis."""

PROOFS = {
    "nv": {"follow_up": 0.55, "histo": 0.37, "consensus": 0.08},
    "bkl": {"histo": 0.70, "consensus": 0.24, "confocal": 0.06},
    "df": {"consensus": 0.52, "histo": 0.48},
    "vasc": {"consensus": 0.53, "histo": 0.47},
}
"""How a diagnosis was proven; one not named here always by histopathology, as in HAM10000."""

SITES = {
    "back": 0.22,
    "lower extremity": 0.21,
    "trunk": 0.14,
    "upper extremity": 0.11,
    "abdomen": 0.10,
    "face": 0.08,
    "chest": 0.04,
    "foot": 0.03,
    "neck": 0.02,
    "scalp": 0.02,
    "hand": 0.01,
    "ear": 0.01,
    "genital": 0.005,
    "acral": 0.005,
}
"""Where on the body, in HAM10000's words and about its shares."""

FIRST_IMAGE = 1_000_000
"""Images are numbered from here, lesions from 1: no id stands for both."""


def fetch(params: Download, raw: Path, workers: int = -1) -> Fetched:
    """Draw `params.n_images` images into two archives in `raw`.

    The bytes depend on `params.n_images` and `params.seed` alone.

    Args:
        params: the section `download` of params.yaml.
        raw: the folder to write `images_part_1.zip` and `images_part_2.zip` to.
        workers: how many processes draw; -1 for one per core.

    Raises:
        UserError: a process that draws was killed.
    """
    rng = np.random.default_rng([params.seed, 0, 0])  # lesions are numbered from 1: none shares this seed
    n_duplicates = 1 + max(2, params.n_images // 250)
    rows = _add_defects(_describe_lesions(params.n_images - n_duplicates, rng), n_duplicates, rng)
    rows["image_id"] = [f"SYN_{FIRST_IMAGE + n}" for n in rng.permutation(len(rows))]
    rows = rows.sort_values("image_id", ignore_index=True)
    say(f"Drawing {len(rows):,} images ...")
    archives = [raw / "images_part_1.zip", raw / "images_part_2.zip"]
    try:
        drawn = Parallel(n_jobs=workers, return_as="generator")(
            delayed(draw_member)(row, params.seed) for row in rows.to_dict("records")
        )
        members = iter(tqdm(drawn, "drawing", len(rows), disable=None))
        write_archive(archives[0], itertools.islice(members, math.ceil(len(rows) / 2)))
        write_archive(archives[1], members)
    except TerminatedWorkerError:
        raise UserError(
            "A process that draws images was killed, most often by the system because memory ran out. Close other "
            "programs, or set download.n_images lower, then run this again."
        ) from None

    rows["lesion_id"] = [f"SYN_{number:07d}" for number in rows["lesion"]]
    columns = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset"]
    table = rows[columns].iloc[rng.permutation(len(rows))].reset_index(drop=True)
    provenance = {
        "source": "synthetic",
        "licence": "MIT (drawn by this project)",
        "attribution": "Lesion Pipeline",
        "citation": "Drawn by the source `synthetic` of Lesion Pipeline; no patient's image is in it.",
        "files": [describe_file(archive) for archive in archives],
    }
    return Fetched(table, provenance)


def _class_sizes(images: int) -> dict[str, int]:
    """Return how many images each kind gets: HAM10000's shares, but enough of the rare ones to be split."""
    least = math.ceil(0.8 * math.sqrt(images))  # 8 of 100, 26 of 1,000, 80 of 10,000
    total = sum(IMAGES.values())
    sizes = {kind: max(least, round(images * number / total)) for kind, number in IMAGES.items()}
    sizes["nv"] += images - sum(sizes.values())
    return sizes


def _describe_lesions(images: int, rng: Generator) -> pd.DataFrame:
    """Return one row per image: `draw`'s arguments (`kind`, `drawn_lesion`, `view`), and what the table says of it."""
    parts = []
    for kind, size in _class_sizes(images).items():
        number = max(6, round(size * LESIONS[kind] / IMAGES[kind]))
        proofs = PROOFS.get(kind, {"histo": 1.0})
        ages = np.clip(normals(rng, MEAN_AGES[kind], AGE_DEVIATIONS[kind], number), 5, 85)
        part = {
            "dx": kind,
            "dx_type": rng.choice(list(proofs), number, p=list(proofs.values())),
            "age": [f"{5 * round(age / 5)}.0" for age in ages],
            "sex": rng.choice(["male", "female"], number, p=[0.54, 0.46]),
            "localization": rng.choice(list(SITES), number, p=list(SITES.values())),
            "dataset": rng.choice(list(CAMERAS), number, p=[camera.share for camera in CAMERAS.values()]),
            "views": 1 + np.bincount(rng.integers(number, size=size - number), minlength=number),
        }
        parts.append(pd.DataFrame(part))
    lesions = pd.concat(parts).sample(frac=1, random_state=rng, ignore_index=True)
    gaps = [("age", "", 0.006), ("age", "0.0", 0.004), ("sex", "unknown", 0.006), ("localization", "unknown", 0.023)]
    for column, value, share in gaps:
        chosen = rng.choice(len(lesions), max(2, round(share * len(lesions))), replace=False)
        lesions.loc[chosen, column] = value
    lesions["kind"] = lesions["dx"]
    lesions["lesion"] = lesions["drawn_lesion"] = np.arange(1, len(lesions) + 1)
    rows = lesions.loc[lesions.index.repeat(lesions.pop("views"))]
    rows["view"] = rows.groupby("lesion").cumcount() + 1
    return rows.reset_index(drop=True).assign(broken=False, mirrored=False)


def _add_defects(rows: pd.DataFrame, n_duplicates: int, rng: Generator) -> pd.DataFrame:
    """Return the rows and `n_duplicates` more, under lesions of their own.

    The first has another diagnosis, the last is mirrored. One image becomes broken. It and the contradicted one
    are nevi, so that no rare class loses a lesion.
    """
    order = rng.permutation(len(rows))
    nevi = order[rows["dx"].to_numpy()[order] == "nv"]
    contradicted, broken = nevi[:2]
    others = order[~np.isin(order, nevi[:2])]
    twins = rows.loc[[contradicted, *others[: n_duplicates - 1]]].reset_index(drop=True)
    twins["lesion"] = rows["lesion"].max() + 1 + np.arange(n_duplicates)
    twins.loc[0, ["dx", "dx_type"]] = ["mel", "histo"]
    twins.loc[n_duplicates - 1, "mirrored"] = True
    rows.loc[broken, "broken"] = True
    return pd.concat([rows, twins], ignore_index=True)
