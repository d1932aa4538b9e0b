"""Weights: what does a network know before it sees a lesion?

Its own stage, so that nothing is fetched in the middle of training. Without a pretrained network, as by default,
its output never changes.
"""

import hashlib
from pathlib import Path

from lesions.core.json_files import write_json
from lesions.core.stage import run_stage
from lesions.models.pretrained.weights_file import copy_weights
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
        path = Path(params.path)
        if params.weights == "imagenet":
            file = IMAGENET[params.model, params.alpha]
            published = (file.folder + file.name,)
            path = download(RemoteFile(file.name, published, n_bytes=file.n_bytes, md5=file.md5, sha256=file.sha256))
        weights = copy_weights(path, OUT)
        with weights.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        source = "ImageNet, by Keras" if params.weights == "imagenet" else path.name
        record |= {"file": weights.name, "sha256": sha256, "source": source}
    write_json(OUT / "weights.json", record)
    print(f"{OUT}: {params.model} at alpha {params.alpha:g}, initial weights: {record['source']}")


if __name__ == "__main__":
    run_stage(main)
