"""Duplicates of one image under two diagnoses: how many, and what each way to treat them leaves of the data."""

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd

from lesions.audit.duplicates import SAME_BYTES, near_duplicate_ids
from lesions.reporting.common.numbers import first_few, quantity
from lesions.taxonomy import ordered

Policy = Literal["drop", "keep_first", "keep", "error"]
POLICIES: tuple[Policy, ...] = ("keep", "drop", "keep_first")
"""Those that go on, first that which leaves all."""
_NAMED = 5


def label_conflicts(images: pd.DataFrame, pairs: pd.DataFrame, policy: Policy) -> pd.Series:
    """Give a reason to set an image aside whose duplicate has another diagnosis, else "".

    Args:
        images: one row per image, with `image_id` and `label`.
        pairs: as `find_duplicates` returns them.
        policy: `drop` and `error` set all duplicates aside, since nobody knows which diagnosis is right; `keep_first`
            those whose diagnosis is not that of the first, by `image_id`; `keep` none.
    """
    reasons = pd.Series("", index=images.index)
    if policy == "keep":
        return reasons
    table = images.assign(near_duplicate_id=near_duplicate_ids(images, pairs)).sort_values("image_id")
    table = table[table["near_duplicate_id"] != ""]
    for _, ours in table.groupby("near_duplicate_id"):
        if ours["label"].nunique() > 1:
            labels = " and ".join(sorted(set(ours["label"])))
            others = ours.index if policy != "keep_first" else ours.index[ours["label"] != ours["label"].iloc[0]]
            reasons[others] = (
                f"the same image is diagnosed as {labels}: {first_few(list(ours['image_id']), most=_NAMED)}"
            )
    return reasons


def describe_conflicts(images: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, Any]:
    """Count the duplicates under two diagnoses, and what each policy would leave.

    Args:
        images: one row per image that can be opened, with `image_id`, `label` and `published_split`.
        pairs: as `find_duplicates` returns them.

    Returns:
        `pairs` of duplicates, by `reason`; `in_two_published_splits`, how many pairs are; `conflicts`, for each two
        classes how many `pairs`, how many `images` of each class, and how many `of` all of it; `left`, for each policy
        and each published split ("" for all images) how many images each class keeps.
    """
    label, split = (images.set_index("image_id")[column] for column in ("label", "published_split"))
    one, other = pairs["one"], pairs["other"]
    both = pd.DataFrame({"a": one.map(label), "b": other.map(label)})
    conflicting = both[both["a"] != both["b"]]
    classes = (
        conflicting.apply(lambda row: tuple(ordered({*row})), axis=1) if len(conflicting) else pd.Series(dtype=str)
    )
    sizes = images["label"].value_counts()
    conflicts = []
    for two, rows in sorted(classes.groupby(classes), key=lambda group: (-len(group[1]), group[0])):
        ids = {*one[rows.index], *other[rows.index]}
        counts = {name: sum(label[image_id] == name for image_id in ids) for name in two}
        conflicts.append({"pairs": len(rows), "images": counts, "of": {name: int(sizes[name]) for name in two}})
    splits = one.map(split).ne(other.map(split)) & one.map(split).ne("") & other.map(split).ne("")
    return {
        "pairs": {str(reason): int(n) for reason, n in pairs["reason"].value_counts().items()},
        "in_two_published_splits": int(splits.sum()),
        "conflicts": conflicts,
        "images": len(images),
        "right_at_most": _right_at_most(images, pairs),
        "left": _left(images, pairs) if conflicts else [],
    }


def _right_at_most(images: pd.DataFrame, pairs: pd.DataFrame) -> int:
    """Return of how many images a classifier can be right that gives all copies of an image one answer."""
    of_set = near_duplicate_ids(images, pairs)
    alone = int((of_set == "").sum())
    if alone == len(images):
        return alone
    return alone + int(pd.crosstab(of_set[of_set != ""], images["label"]).max(axis=1).sum())


def _left(images: pd.DataFrame, pairs: pd.DataFrame) -> list[dict[str, Any]]:
    kept = {policy: images[label_conflicts(images, pairs, policy) == ""] for policy in POLICIES}
    classes = ordered({*images["label"]})
    published = [name for name in ("train", "val", "test") if (images["published_split"] == name).any()]
    rows = []
    for split in ["", *published]:
        for policy, left in kept.items():
            ours = left if not split else left[left["published_split"] == split]
            counts = ours["label"].value_counts()
            by_class = {name: int(counts.get(name, 0)) for name in classes}
            rows.append({"split": split, "label_conflicts": policy, "images": len(ours), "classes": by_class})
    return rows


def conflict_lines(found: dict[str, Any]) -> Sequence[str]:
    """Return what `describe_conflicts` found as lines for a terminal; none where no diagnoses conflict."""
    if not found["conflicts"]:
        return []
    identical = found["pairs"].get(SAME_BYTES, 0)
    total, conflicting = sum(found["pairs"].values()), sum(one["pairs"] for one in found["conflicts"])
    lines = [
        f"{quantity(total, 'pair')} of duplicates, {identical:,} of them with the same bytes; "
        f"{conflicting:,} under two diagnoses:"
    ]
    for one in found["conflicts"]:
        shares = (f"{n:,} of {one['of'][name]:,} images of {name}" for name, n in one["images"].items())
        lines.append(f"  {one['pairs']:6,} {' and '.join(one['images'])}: {', '.join(shares)}")
    if found["in_two_published_splits"]:
        lines.append(f"{quantity(found['in_two_published_splits'], 'pair')} in two published splits.")
    lines.append(
        f"A classifier answers copies of one image alike, so it is right on {found['right_at_most']:,} of "
        f"{found['images']:,} images ({found['right_at_most'] / found['images']:.1%}) at most."
    )
    lines += ["Images that each clean.label_conflicts leaves:", *_table(found)]
    lines.append("keep_first keeps the diagnosis of the image whose image_id comes first: order decides, not evidence.")
    for row in found["left"]:
        before = next(other["images"] for other in found["left"] if other["split"] == row["split"])
        if row["split"] == "test" and row["label_conflicts"] == "drop" and row["images"] < before:
            lines.append(
                f"Of {before:,} images of the published test {row['images']:,} would be left by drop: metrics on them "
                "do not compare with published ones."
            )
    return lines


def left_rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each published split and policy, of how many images each class keeps.

    Args:
        found: of `describe_conflicts`.
    """
    return [
        {"published split": row["split"] or "all", "policy": row["label_conflicts"], "images": row["images"]}
        | row["classes"]
        for row in found["left"]
    ]


def _table(found: dict[str, Any]) -> list[str]:
    """Lay `left_rows` out as text, with the classes that a policy changes."""
    table = pd.DataFrame(left_rows(found))
    same = [name for name in table.columns[3:] if table.groupby("published split")[name].nunique().max() == 1]
    lines = table.drop(columns=same).to_string(index=False, formatters=dict.fromkeys(table.columns[2:], "{:,}".format))
    return [f"  {line}" for line in lines.splitlines()] + ([f"  (unchanged: {', '.join(same)})"] if same else [])
