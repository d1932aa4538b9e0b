"""The page of `lesions audit`: the images to look at, each with what is known of it."""

import io
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from lesions.commands.audit.find import Found
from lesions.images.archive_images import decode_members
from lesions.images.decode import decode_image
from lesions.reporting.common.templates import render

RAW = Path("data/raw")
SHOWN = 48
"""Images or pairs of a section; the tables have all."""
THUMBNAIL_PX = 256
"""An image's longest edge."""
QUALITY = 85


def write_page(path: Path, found: Found, images: pd.DataFrame, study: str, *, test: bool, drawn: bool) -> None:
    """Write the page.

    Args:
        path: of the page.
        found: what is to be looked at.
        images: one row per image, with `image_id`, `archive`, `member`, `split` and `known_group_id`.
        study: whose predictions are used, or "".
        test: whether suspects of test are shown.
        drawn: whether the images are drawings.
    """
    labels = found.labels[found.labels["suspect"]]
    pairs = [found.pairs[found.pairs["across_splits"] == across].head(SHOWN) for across in (True, False)]
    shown = [labels.head(SHOWN), found.off_topic.head(SHOWN)]
    ids = [*(table["image_id"] for table in shown), *(table[place] for table in pairs for place in ("one", "other"))]
    context: dict[str, Any] = {
        "thumbnails": thumbnails(images, pd.concat(ids).drop_duplicates().rename("image_id")),
        "labels": shown[0].to_dict("records"),
        "off_topic": shown[1].to_dict("records"),
        "across": with_lines(pairs[0], images).to_dict("records"),
        "within": with_lines(pairs[1], images).to_dict("records"),
        "n_suspects": len(labels),
        "n_predicted": found.labels["split"].value_counts().to_dict(),
        "confusions": confusions(labels).to_dict("records"),
        "n_across": int((found.pairs["across_splits"] & found.pairs["mutual"]).sum()),
        "n_images": found.n_images,
        "leakage": found.leakage,
        "study": study,
        "test": test,
        "drawn": drawn,
    }
    path.write_text(render("commands/audit/page.html.jinja", context), encoding="utf-8", newline="\n")


def confusions(suspects: pd.DataFrame) -> pd.DataFrame:
    """Return how many suspects there are of each `label` and `predicted` class, the most first."""
    counts = suspects.groupby(["label", "predicted"]).size().rename("images").reset_index()
    return counts.sort_values(["images", "label", "predicted"], ascending=[False, True, True])


def with_lines(pairs: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Add `group`, the name under which the images of a pair are joined in the table `clean.known_groups`.

    Args:
        pairs: with `one` and `other`.
        images: with `image_id` and `known_group_id`.
    """
    known = images.set_index("image_id")["known_group_id"]
    one, other = (pairs[place].map(known) for place in ("one", "other"))
    group = one.where(one != "", other)
    return pairs.assign(group=group.where(group != "", pairs["one"]))


def thumbnails(images: pd.DataFrame, ids: "pd.Series[str]") -> dict[str, bytes]:
    """Return small JPEG files of images by `image_id`.

    Args:
        images: with `image_id`, `archive` and `member`.
        ids: of which, called `image_id`.
    """
    members = ids.to_frame().merge(images[["image_id", "archive", "member"]], on="image_id", how="left")
    decode = partial(decode_image, height=THUMBNAIL_PX, width=THUMBNAIL_PX, fit="pad")
    pixels = decode_members(RAW, members, decode, "drawing", use_cluster=False)
    files = {}
    for image_id, image in zip(ids, pixels, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=QUALITY)
        files[str(image_id)] = file.getvalue()
    return files
