"""Split the images as `split` in params.yaml says, and audit the result for leakage, however it was made."""

from typing import Any

import pandas as pd

from lesions.core.merged_ids import is_merged
from lesions.core.params import NO_FILE
from lesions.params.split import Split
from lesions.sampling import leakage_experiment
from lesions.sampling.earlier_split import go_on_from, ids_in, read_kept, refuse_renamed
from lesions.sampling.split import (
    LEFT_OUT,
    SPLITS,
    leave_out_overlap,
    leave_source_out,
    n_groups_in_two_splits,
    published_split,
    shares_value_with,
    split_in_folds,
    split_off,
    stratified_group_split,
)

KEYS = {
    "groups": "group_id",
    "patients": "patient_id",
    "lesions": "lesion_id",
    "identical_images": "sha256",
    "near_duplicates": "near_duplicate_id",
}
"""What must not be in two splits, and the column of images.csv that names it."""
LEFT_OUT_BY = {"leave_source_out": "source", "leave_collection_out": "collection"}
"""By method, the column of images.csv of which one value is test."""


def split_images(images: pd.DataFrame, classes: list[str], params: Split) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Split the images and audit the split.

    Args:
        images: `data/clean/images.csv`.
        classes: the labels, in the order of `data/clean/classes.csv`.
        params: how to split.

    Returns:
        `split.csv`, and `metrics/split.json`: how many groups, patients, lesions, identical images and near-duplicates
        are in two splits; and for each split its images, groups, known lesions, images whose lesion is unknown, and
        what was seen in training. A metric is None where nothing is known of it; `reasons` says why.
    """
    report: dict[str, Any] = {} if params.folds == "none" else {"folds": params.folds, "fold": params.fold}
    if params.method == "published":
        images, report["published"] = _as_published(images, classes, params)
    elif params.method in LEFT_OUT_BY:
        images, report["leave_source_out"] = _without_a_source(images, classes, params)
    elif params.keep != NO_FILE:
        images, report["keep"] = _kept(images, classes, params)
    else:
        images = images.join(_at_random(images, params))
    if params.same_lesion != "apart":
        images, report["same_lesion"] = _with_one_image_a_group_in_test(images, classes, params)
    images["leakage"] = _leakage(images, params)
    columns = [column for column in ("image_id", "split", "leakage", "fold") if column in images]
    columns += ["collection"] if is_merged(images) else []
    name = {"method": params.method, "leakage": images["leakage"].iloc[0]}
    return images[columns], {**name, **report, **_audit_split(images, classes)}


def _at_random(images: pd.DataFrame, params: Split) -> "pd.Series[str] | pd.DataFrame":
    """Return the column `split`, and `fold` where `folds` is a number."""
    units = images.assign(group_id=images["image_id"]) if params.method == "image" else images
    val, test = params.val_fraction, params.test_fraction
    if params.folds == "none":
        return stratified_group_split(units, {"train": 1 - val - test, "val": val, "test": test}, params.seed)
    return split_in_folds(units, params.folds, params.fold, val, params.seed)


def _kept(images: pd.DataFrame, classes: list[str], params: Split) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Add the column `split`, in which the images of an earlier one stay where they were; and report what is new."""
    kept = read_kept(params.keep)
    refuse_renamed(images, kept)
    split, of_group = go_on_from(images, kept)
    used = split != LEFT_OUT
    val, test = params.val_fraction, params.test_fraction
    fractions = {"train": 1 - val - test, "val": val, "test": test}
    assigned = stratified_group_split(images[used], fractions, params.seed, of_group)
    earlier = ids_in(kept, images)
    images = images.assign(split=assigned.reindex(images.index, fill_value=LEFT_OUT))
    new = images[earlier == ""]
    report = {
        "kept": int(((earlier != "") & used).sum()),
        "new": len(new),
        "new_by_split": {name: int((new["split"] == name).sum()) for name in SPLITS},
        "gone": len(kept.keys() - set(earlier)),
    }
    return images, report | _left_out(images, classes)


def _as_published(images: pd.DataFrame, classes: list[str], params: Split) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Add the column `split` as it was published; and report what had to be added or mended."""
    images = images.assign(split=published_split(images))
    report = {
        "images": {name: int((images["published_split"] == name).sum()) for name in SPLITS},
        "without_a_published_split": int((images["published_split"] == "").sum()),
        "groups_in_two_published_splits": n_groups_in_two_splits(images, "group_id"),
        "group_overlap": params.group_overlap,
    }
    if params.group_overlap == "leave_out":
        images["split"] = leave_out_overlap(images, images["split"])
    report["split_off_from_train"] = [name for name in SPLITS if not (images["split"] == name).any()]
    fractions = {"val": params.val_fraction, "test": params.test_fraction}
    images["split"] = split_off(images, images["split"], fractions, params.seed)
    return images, report | _left_out(images, classes)


def _without_a_source(images: pd.DataFrame, classes: list[str], params: Split) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Add the column `split`, in which a source's or collection's images are test; report what had to be left out."""
    column = LEFT_OUT_BY[params.method]
    images = images.assign(split=leave_source_out(images, params.test_source, column))
    report = {
        "left_out_by": column,
        "test_source": params.test_source,
        "other_sources": sorted(set(images[column]) - {params.test_source, ""}),
        "without_a_source": int((images[column] == "").sum()),
        "groups_in_test_and_another_source": n_groups_in_two_splits(images, "group_id"),
    }
    images["split"] = leave_out_overlap(images, images["split"])
    images["split"] = split_off(images, images["split"], {"val": params.val_fraction}, params.seed)
    return images, report | _left_out(images, classes)


def _left_out(images: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    """Return how many images are in no split, in all and by class."""
    left_out = images[images["split"] == LEFT_OUT]
    return {"left_out": len(left_out), "left_out_by_class": _by_class(left_out, classes)}


def _with_one_image_a_group_in_test(
    images: pd.DataFrame, classes: list[str], params: Split
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Keep one image of each test group there; and report what became of the others."""
    experiment = {"withheld": leakage_experiment.drop_same_lesion, "injected": leakage_experiment.leak_same_lesion}
    changed = images.assign(split=experiment[params.same_lesion](images, params.seed))
    test = changed["split"] == "test"
    others = images[(images["split"] == "test") & ~test]
    return changed, {
        "became": params.same_lesion,
        "of_test_images": int(changed.loc[test, "group_id"].isin(others["group_id"]).sum()),
        "images": len(others),
        "images_by_class": _by_class(others, classes),
        "left_out_by_class": _by_class(images[changed["split"] == LEFT_OUT], classes),
    }


def _by_class(images: pd.DataFrame, classes: list[str]) -> dict[str, int]:
    return {label: int((images["label"] == label).sum()) for label in classes}


def _leakage(images: pd.DataFrame, params: Split) -> str:
    """Return `none`, or the name of the leak."""
    if params.method == "image":
        return "split by image (leaky)"
    if params.same_lesion == "injected":
        return leakage_experiment.LEAK
    if any(n_groups_in_two_splits(images, key) for key in KEYS.values()):
        return "published split that divides lesions (leaky)"
    return "none"


def _audit_split(images: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    """Count what is in two splits, and what each split holds of each class, and of what trains."""
    unnamed = [name for name in ("patients", "lesions") if (images[KEYS[name]] == "").all()]
    result: dict[str, Any] = {
        f"{name}_in_two_splits": None if name in unnamed else n_groups_in_two_splits(images, key)
        for name, key in KEYS.items()
    }
    result["reasons"] = [f"{name}: the data name none" for name in unnamed]
    seen = shares_value_with(images, "train", ["lesion_id", "known_pair_id", "near_duplicate_id", "sha256"])
    images = images.assign(seen_in_train=seen)
    for split in SPLITS:
        ours = images[images["split"] == split]
        of_class = {label: _metrics(ours[ours["label"] == label]) for label in classes}
        result[split] = {}
        for name, value in _metrics(ours).items():
            if (split, name) != ("train", "seen_in_train"):
                result[split][name] = value
                result[split][f"{name}_by_class"] = {label: found[name] for label, found in of_class.items()}
    return result


def _metrics(images: pd.DataFrame) -> dict[str, int | float | None]:
    """Return the metrics of some images of one split; None where nothing is known.

    `seen_in_train` is the fraction of images that share a lesion with a training image, by its id or as a known pair,
    or are a duplicate of one; with unknown lesions, at least that.
    """
    lesions = images.loc[images["lesion_id"] != "", "lesion_id"]
    seen = images["seen_in_train"]
    return {
        "images": len(images),
        "groups": int(images["group_id"].nunique()),
        "lesions": int(lesions.nunique()) if len(lesions) else None,
        "lesion_unknown": len(images) - len(lesions),
        "seen_in_train": round(float(seen.mean()), 4) if len(lesions) or seen.any() else None,
    }


def describe_split(report: dict[str, Any]) -> list[str]:
    """Return in sentences what was made, and what must not be overlooked, from `metrics/split.json`."""
    counts = ", ".join(f"{split} {report[split]['images']:,}" for split in SPLITS)
    lines = [f"{counts}; {report['groups_in_two_splits']:,} groups stand in two splits"]
    if kept := report.get("keep"):
        new = ", ".join(f"{name} {count:,}" for name, count in kept["new_by_split"].items())
        lines.append(
            f"Images that keep their earlier split: {kept['kept']:,}; new: {kept['new']:,} ({new}); gone: "
            f"{kept['gone']:,}; left out, now or earlier, since their group is joined with one of another "
            f"split: {kept['left_out']:,}."
        )
    published = report.get("published", {"groups_in_two_published_splits": 0, "split_off_from_train": []})
    if divided := published["groups_in_two_published_splits"]:
        mended = "they were kept there (split.group_overlap)"
        if published["group_overlap"] == "leave_out":
            mended = f"{published['left_out']:,} images of them were left out, so that none does now"
        lines.append(f"The published split has {divided:,} groups in two splits: {mended}.")
    if added := published["split_off_from_train"]:
        lines.append(f"It has no {' and no '.join(added)}: split off its training part, by group.")
    if by_source := report.get("leave_source_out"):
        what, others = by_source["left_out_by"], ", ".join(by_source["other_sources"])
        lines.append(
            f"Test is the {what} {by_source['test_source']}; train and val: {others}. {by_source['left_out']:,} images "
            f"are left out: their group is in test too, or they state no {what}."
        )
    if moved := report.get("same_lesion"):
        became = {
            "withheld": "left out",
            "injected": "put into train, in exchange for as many training images of each class",
        }[moved["became"]]
        lines.append(
            f"{moved['of_test_images']:,} test images share their lesion with others: {moved['images']:,}, {became}."
        )
    if report["leakage"] != "none":
        seen = report["test"]["seen_in_train"]
        share = "an unknown share" if seen is None else f"{seen:.1%}"
        lines.append(
            f"WARNING: {report['leakage']}: of {share} of the test images, the lesion or a duplicate is in train. "
            "Every metric made from this split is named so."
        )
    return lines
