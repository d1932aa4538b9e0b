"""The same picture under several names: who is a copy of whom, and what if their diagnoses differ."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.audit.groups import components
from lesions.audit.near_duplicates import find_near_copies
from lesions.core.errors import UserError

Policy = Literal["drop", "keep_first", "error"]
_NAMED = 5


def find_copies(images: pd.DataFrame, luma: NDArray[np.uint8], colour: NDArray[np.float32]) -> pd.DataFrame:
    """List the pairs of pictures that are copies: the same bytes, or the same picture in another form.

    Args:
        images: a row a picture, with `image_id`, `sha256`, `label` and `lesion_id`.
        luma: (N, 64, 64), the pictures' fingerprints, in the order of the rows.
        colour: (N, 2, 8, 8), the same.

    Returns:
        A row a pair, sorted: `one` < `other`, both `image_id`s; `likeness`, two decimals; `identical`, whether
        the bytes are the same; and both pictures' `label` and `lesion_id`. Of pictures with the same bytes each
        is paired with the first alone.
    """
    order = np.argsort(images["image_id"].to_numpy())
    ids, sha256 = (images[column].to_numpy()[order] for column in ("image_id", "sha256"))
    table = pd.DataFrame({"image_id": ids, "first": pd.Series(ids).groupby(sha256).transform("first")})
    same = table[table["image_id"] != table["first"]]
    identical = pd.DataFrame({"one": same["first"], "other": same["image_id"], "likeness": 1.0, "identical": True})

    different = order[(table["image_id"] == table["first"]).to_numpy()]
    near = find_near_copies(luma[different], colour[different])
    names = images["image_id"].to_numpy()[different]
    near = near.assign(one=names[near["one"]], other=names[near["other"]], identical=False)
    pairs = pd.concat([identical, near.round({"likeness": 2})]).sort_values(["one", "other"], ignore_index=True)
    pairs = pairs[["one", "other", "likeness", "identical"]]
    said = images.set_index("image_id")[["label", "lesion_id"]]
    return pairs.join(said.add_suffix("_one"), on="one").join(said.add_suffix("_other"), on="other")


def under_two_lesions(pairs: pd.DataFrame) -> "pd.Series[bool]":
    """Tell of each pair whether its pictures stand under two lesions, both known."""
    one, other = pairs["lesion_id_one"], pairs["lesion_id_other"]
    return (one != other) & (one != "") & (other != "")


def near_copy_ids(images: pd.DataFrame, pairs: pd.DataFrame) -> pd.Series:
    """Name the picture that each is a copy of: for copies of one another the smallest `image_id`, else "".

    Args:
        images: a row a picture, with `image_id`.
        pairs: as `find_copies` returns them; those of other pictures are passed over.
    """
    ours = pairs[pairs[["one", "other"]].isin(set(images["image_id"])).all(axis=1)]
    component = components(images, [], list(zip(ours["one"], ours["other"], strict=True)))
    return component.where(component.duplicated(keep=False), "").rename("near_copy_id")


def contradictions(images: pd.DataFrame, pairs: pd.DataFrame, policy: Policy) -> pd.Series:
    """Give a reason to set a picture aside whose copy stands under another diagnosis, else "".

    Args:
        images: a row a picture, with `image_id` and `label`.
        pairs: as `find_copies` returns them.
        policy: `drop` sets all copies aside, since nobody knows which diagnosis is right; `keep_first` those
            whose diagnosis is not that of the first, by `image_id`; `error` stops.

    Raises:
        UserError: there is a contradiction, and the policy is `error`.
    """
    reasons = pd.Series("", index=images.index)
    copies = images.assign(near_copy_id=near_copy_ids(images, pairs)).sort_values("image_id")
    copies = copies[copies["near_copy_id"] != ""]
    for _, ours in copies.groupby("near_copy_id"):
        if ours["label"].nunique() > 1:
            said = " and ".join(sorted(set(ours["label"])))
            others = ours.index if policy != "keep_first" else ours.index[ours["label"] != ours["label"].iloc[0]]
            reasons[others] = f"the same picture is diagnosed as {said}: {_some(list(ours['image_id']))}"
    if policy == "error" and (reasons != "").any():
        found = "".join(f"\n  {reason}" for reason in sorted(set(reasons) - {""})[:_NAMED])
        raise UserError(
            f"{(reasons != '').sum()} pictures contradict a copy of theirs:{found}\n"
            "Mend the table, or let clean.contradictions in params.yaml be drop or keep_first."
        )
    return reasons


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
