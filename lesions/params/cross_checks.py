"""What does not fit together in params.yaml, where each section is right by itself.

Each stage would say so too, but after the stages before it: of a network, after hours.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lesions.core.params import FILE, did_you_mean
from lesions.params.calibrate import Calibrate
from lesions.params.clean import Clean
from lesions.params.download import Download
from lesions.params.prepare import Prepare
from lesions.params.pretrained import Pretrained
from lesions.params.split import Split
from lesions.params.train import Train
from lesions.taxonomy import code_of

NO_MEMBERS = ("lifecycle", "notebook_5x5", "notebook_basic", "notebook_dropout", "notebook_generator")
"""Architectures of which no ensemble can be made; of a person's own it is known when the network is built."""
LEAST_PX = {"notebook_generator": 22, "residual": 32, "InceptionResNetV2": 75, "InceptionV3": 75, "Xception": 71}
"""The smallest height and width of an image, by architecture and pretrained network. `build` holds to it, too."""
LEAST_PX_PRETRAINED = 32
"""Of the other pretrained networks."""


def cross_problems(content: dict[str, Any], file: Path = FILE) -> list[str]:
    """Return what does not fit together.

    Args:
        content: of params.yaml, where each section is right by itself.
        file: its name, for the messages.
    """
    train, prepare = Train.check(content["train"], file), Prepare.check(content["prepare"], file)
    download, split = Download.check(content["download"], file), Split.check(content["split"], file)
    clean, calibrate = Clean.check(content["clean"], file), Calibrate.check(content["calibrate"], file)
    problems = (
        *_of_members(train, pretrained := Pretrained.check(content["pretrained"], file)),
        *_of_image_size(train, pretrained, prepare),
        *_of_collections(download, split, train),
        *_of_costs(calibrate, clean),
    )
    return [f"{file}: {problem}" for problem in problems]


def _of_members(train: Train, pretrained: Pretrained) -> Iterator[str]:
    size, networks = train.ensemble_size, 1 + len(pretrained.further_members)
    if train.architecture in NO_MEMBERS and size > 1:
        yield (
            f"train.ensemble_size is {size}, and {train.architecture} can be no member of an ensemble; set it to 1, or "
            "train.architecture to plain, residual or pretrained"
        )
    if train.architecture != "pretrained":
        return
    if pretrained.model == "none":
        yield "train.architecture is pretrained, but pretrained.model is none; name one, such as MobileNet"
    elif size < networks:
        yield (
            f"pretrained names {networks} networks, but train.ensemble_size is {size}; set it to {networks}, or remove "
            "some of pretrained.further_members"
        )


def _of_image_size(train: Train, pretrained: Pretrained, prepare: Prepare) -> Iterator[str]:
    height, width = prepare.shape
    found = f"prepare.image_size is {prepare.image_size}"
    if train.augment.transpose and height != width:
        yield (
            f"train.augment.transpose is true, and {found}: only square images keep their shape. Set transpose to "
            "false, or image_size to one number"
        )
    least = {train.architecture: LEAST_PX.get(train.architecture, 1)}
    if train.architecture == "pretrained" and pretrained.model != "none":
        models = [pretrained.model, *(member.model for member in pretrained.further_members)]
        least = {model: LEAST_PX.get(model, LEAST_PX_PRETRAINED) for model in models}
    for network, pixels in least.items():
        if min(height, width) < pixels:
            yield f"{found}, and {network} needs at least {pixels} pixels a side; set it to {pixels} or more"


def _of_collections(download: Download, split: Split, train: Train) -> Iterator[str]:
    names = list(download.merged_collections()) if download.source == "merged" else []
    several = len(names) > 1
    if train.balance in ("collection", "both") and not several:
        yield (
            f"train.balance is {train.balance}, and the data are of one collection; set it to class or none, or merge "
            "several (download.source: merged)"
        )
    if split.method != "leave_collection_out":
        return
    if not several:
        yield (
            "split.method is leave_collection_out, and the data are of one collection; set it to another, or merge "
            "several (download.source: merged)"
        )
    elif split.test_source not in names:
        yield (
            f"split.test_source is {split.test_source}, which is none of the merged collections; "
            f"{did_you_mean(split.test_source, names)}"
        )


def _of_costs(calibrate: Calibrate, clean: Clean) -> Iterator[str]:
    """Of the data's own diagnoses only `clean` knows which there are; a known diagnosis has its code as a class."""
    known = {code_of(name) for name in clean.classes} if clean.unmapped_diagnoses != "keep" else set()
    for name in dict.fromkeys([*calibrate.costs, *(one for row in calibrate.costs.values() for one in row)]):
        if code_of(name) != name:
            yield f'calibrate.costs: there is no class {name}; write it as the tables do, "{code_of(name)}"'
        elif known and name not in known:
            yield f"calibrate.costs: there is no class {name} in clean.classes; {did_you_mean(name, known)}"
