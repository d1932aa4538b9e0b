"""One image in several collections: which copy is kept, what the collections share, and what each holds."""

from itertools import combinations
from typing import Any

import pandas as pd

from lesions.audit.duplicates import SAME_BYTES
from lesions.reporting.common.numbers import quantity
from lesions.taxonomy import ordered

DUPLICATE = "a duplicate in another collection"
"""Why an image is set aside, before the name of the one that is kept; nothing is lost of the data."""
METADATA = ["lesion_id", "patient_id", "age", "sex", "site", "source", "dx_type"]


def set_duplicates_aside(images: pd.DataFrame) -> "pd.Series[str]":
    """Give a reason to set an image aside of which another collection holds the better copy, else "".

    The better one has more pixels; else more is known of it; else it is the first by `image_id`. Its collection's other
    images of the same set of duplicates stay too.

    Args:
        images: one row per image, with `image_id`, `collection`, `near_duplicate_id`, `height`, `width` and `METADATA`.
    """
    shared = images[(images["near_duplicate_id"] != "") & (images["collection"] != "")]
    ranked = shared.assign(
        pixels=-shared["height"].astype(int) * shared["width"].astype(int),
        unknown=(shared[METADATA] == "").sum(axis=1),
    ).sort_values(["pixels", "unknown", "image_id"])
    best = ranked.groupby("near_duplicate_id")[["image_id", "collection"]].transform("first")
    worse = best["collection"] != ranked["collection"]
    reasons = DUPLICATE + ": " + best.loc[worse, "image_id"] + " is kept"
    return reasons.reindex(images.index, fill_value="")


def with_published_splits(images: pd.DataFrame) -> "pd.Series[str]":
    """Return the published splits, those of copies in other collections too: of several, test, then val, then train.

    So an image of a collection's published test is tested, whichever copy of it is kept.

    Args:
        images: one row per image, copies among them, with `collection`, `near_duplicate_id` and `published_split`.
    """
    split = images["published_split"]
    shared = images[(images["near_duplicate_id"] != "") & (images["collection"] != "")]
    several = shared.groupby("near_duplicate_id")["collection"].transform("nunique") > 1
    ours = shared[several]
    rank = {"": 0, "train": 1, "val": 2, "test": 3}
    held_out = ours["published_split"].map(rank).fillna(0).groupby(ours["near_duplicate_id"]).transform("max")
    known = held_out[held_out > 0].map({number: name for name, number in rank.items()})
    return known.reindex(split.index).fillna(split)


def renamed_sets(images: pd.DataFrame) -> pd.DataFrame:
    """Name groups and sets of duplicates by images that are left, as where no copy was set aside.

    Args:
        images: one row per image that is left, with `image_id`, `group_id` and `near_duplicate_id`.
    """
    ids = images["image_id"].sort_values()  # pandas takes the first of a group a hundred times as fast as the least
    first = {
        key: ids.groupby(images[key]).transform("first").reindex(images.index).where(images[key] != "", "")
        for key in ("group_id", "near_duplicate_id")
    }
    alone = ~images["near_duplicate_id"].duplicated(keep=False)
    first["near_duplicate_id"] = first["near_duplicate_id"].mask(alone, "")
    return images.assign(**first)


def describe_collections(
    decoded: pd.DataFrame, images: pd.DataFrame, rejects: pd.DataFrame, pairs: pd.DataFrame
) -> dict[str, Any]:
    """Describe merged collections; {} where there is only one.

    Args:
        decoded: one row per image that can be opened, with `image_id`, `collection` and `label`.
        images: those that can be used, with `diagnosis` and `group_id` besides.
        rejects: what cannot be used, with `image_id` and `reason`.
        pairs: as `find_duplicates` returns them.

    Returns:
        `collections`: for each its `images` and `groups` that can be used, its `duplicates` set aside since another
        collection keeps the image, and how many images of each of its `diagnoses` became which class; `overlaps`: for
        each two how many `pairs` of duplicates they share, `same_bytes` among them, and how many `conflicts` of class;
        `guess`: the accuracy of guessing each group's class from its collection alone, and of the commonest class;
        none where no image can be used.
    """
    names = sorted(set(decoded["collection"]) - {""})
    if len(names) < 2:
        return {}
    duplicates = rejects.loc[rejects["reason"].str.startswith(DUPLICATE), "image_id"]
    of_duplicates = decoded.set_index("image_id")["collection"].reindex(duplicates).value_counts()
    described = {}
    for name in names:
        ours = images[images["collection"] == name]
        counts = ours.groupby(["diagnosis", "label"]).size().reset_index(name="images")
        place = {code: rank for rank, code in enumerate(ordered(set(counts["diagnosis"])))}
        counts = counts.sort_values("diagnosis", key=lambda codes: codes.map(place), kind="stable")
        described[name] = {
            "images": len(ours),
            "groups": int(ours["group_id"].nunique()),
            "duplicates": int(of_duplicates.get(name, 0)),
            "diagnoses": counts.to_dict("records"),
        }
    guess = {"guess": _guess(images)} if len(images) else {}
    return {"collections": described, "overlaps": _overlaps(decoded, pairs, names), **guess}


def _overlaps(decoded: pd.DataFrame, pairs: pd.DataFrame, names: list[str]) -> list[dict[str, Any]]:
    collection, label = (decoded.set_index("image_id")[column] for column in ("collection", "label"))
    one, other = pairs["one"].map(collection), pairs["other"].map(collection)
    found = []
    for two in combinations(names, 2):
        ours = pairs[one.isin(two) & other.isin(two) & (one != other)]
        counts = {
            "pairs": len(ours),
            "same_bytes": int((ours["reason"] == SAME_BYTES).sum()),
            "conflicts": int((ours["one"].map(label) != ours["other"].map(label)).sum()),
        }
        found.append({"collections": list(two)} | counts)
    return found


def _guess(images: pd.DataFrame) -> dict[str, float]:
    cases = images[["group_id", "label", "collection"]].drop_duplicates()
    by_collection = pd.crosstab(cases["collection"], cases["label"])
    right = int(by_collection.max(axis=1).sum())
    return {
        "accuracy": round(right / len(cases), 3),
        "commonest_class": round(int(by_collection.sum().max()) / len(cases), 3),
    }


def collection_lines(found: dict[str, Any]) -> list[str]:
    """Return what `describe_collections` found as lines for a terminal; none where there is only one collection."""
    if not found:
        return []
    lines = [
        f"{name}: {one['images']:,} images are used; {one['duplicates']:,} are set aside, as duplicates in another "
        "collection"
        for name, one in found["collections"].items()
    ]
    lines += [
        f"{' and '.join(one['collections'])} share {quantity(one['pairs'], 'pair')} of duplicates, "
        f"{one['same_bytes']:,} with the same bytes, {one['conflicts']:,} under two classes"
        for one in found["overlaps"]
    ]
    if not (guess := found.get("guess")):
        return lines
    return [
        *lines,
        f"Guessing the class from the collection alone is right for {guess['accuracy']:.1%} of the groups; always "
        f"guessing the commonest class for {guess['commonest_class']:.1%}.",
    ]


def lacking_classes(images: pd.DataFrame) -> dict[str, list[str]]:
    """Return for each merged collection the classes of which it holds no image, where it lacks any.

    Args:
        images: `data/clean/images.csv`.
    """
    held = images.groupby("collection")["label"].agg(set)
    classes = set(images["label"])
    return {str(name): ordered(classes - found) for name, found in held.items() if name and classes - found}
