"""A pretrained network, with the weights that the stage `weights` prepared, and a new last layer.

Which one of Keras Applications or EfficientNet-Lite, at which width, and from which weights, params.yaml says under
`pretrained`. Nothing is fetched here.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import count, takewhile
from pathlib import Path
from typing import NamedTuple

import h5py
import keras
import numpy as np
from keras import KerasTensor, layers

from lesions.core.errors import UserError
from lesions.core.json_files import read_json
from lesions.models.common.batch_norm import fused
from lesions.models.common.efficientnet_lite import SCALES, efficientnet_lite

WEIGHTS = Path("data/weights")
DROPOUT = 0.2
LAYERS = "layers"
"""What a model's layers stand under in a `.weights.h5`."""
EFFICIENTNET_SPREAD = (0.229, 0.224, 0.225)
"""ImageNet's standard deviations, which EfficientNet's files have where their layer has a variance. Keras makes up for
it by a further layer where it fetches the weights itself (keras/src/applications/efficientnet.py); here they are
squared."""
WIDE = ("mobilenet", "mobilenet_v2", "mobilenet_v3")
"""Keras's modules whose networks have a width, `alpha`."""


def build(shape: tuple[int, int, int], classes: int, folder: Path = WEIGHTS) -> keras.Model:
    """Return the network.

    It is flat: the layers of the published network under their own names, after those that bring pixels to the
    range that it was trained on. What is new, and starts at random, is named `head_…` and `probabilities`.

    Args:
        shape: of an image: height, width, 3; raw pixels from 0 to 255.
        classes: number of classes.
        folder: the output folder of the stage weights, or that of a further member in it.

    Returns:
        A model from pixels to the classes' probabilities.

    Raises:
        UserError: no network is named, the images are too small for it, or the weights are another network's.
    """
    wanted = read_json(folder / "weights.json")
    if wanted["model"] == "none":
        raise UserError(
            "train.architecture is pretrained, but no network is named: set pretrained.model in params.yaml, "
            "for instance to MobileNet with pretrained.alpha 0.25."
        )
    pixels = keras.Input(shape, name="pixels")
    if wanted["model"] in SCALES:
        network = efficientnet_lite(wanted["model"], pixels)
    else:
        network = _backbone(getattr(keras.applications, wanted["model"]), wanted["alpha"], pixels)
    backbone = fused(network)
    if wanted["file"]:
        load_backbone(backbone, folder / wanted["file"], wanted)
    x = layers.GlobalAveragePooling2D(name="head_pooling")(backbone.output)
    x = layers.Dropout(DROPOUT, name="head_dropout")(x)
    return keras.Model(backbone.inputs[0], layers.Dense(classes, activation="softmax", name="probabilities")(x))


def member_folders(folder: Path = WEIGHTS) -> list[Path]:
    """Return where the stage weights put the networks of an ensemble's members, in order; of alike ones, one folder.

    Args:
        folder: the output folder of the stage weights.
    """
    return [folder, *sorted(folder.glob("member_*"))]


def preprocess(pixels: KerasTensor, module: str) -> KerasTensor:
    """Bring pixels to what the networks of one of Keras's modules were trained on.

    The same numbers as the module's own `preprocess_input`, but as layers that are saved with the model.

    Args:
        pixels: (N, height, width, 3), 0 to 255, RGB.
        module: the name of the network's module in keras.applications.
    """
    if module in ("efficientnet", "efficientnet_v2", "convnext", "mobilenet_v3"):
        return pixels  # it is the network's first layer already
    if module in ("resnet", "vgg16", "vgg19"):  # weights that came from Caffe: BGR, less ImageNet's mean
        turned = keras.ops.flip(pixels, axis=-1)
        return layers.Normalization(mean=[103.939, 116.779, 123.68], variance=[1.0, 1.0, 1.0])(turned)
    if module == "densenet":  # from Torch: ImageNet's mean and spread
        mean, spread = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        return layers.Normalization(
            mean=[255 * value for value in mean], variance=[(255 * value) ** 2 for value in spread]
        )(pixels)
    return layers.Rescaling(1 / 127.5, offset=-1)(pixels)


def _backbone(application: Callable[..., keras.Model], alpha: float, pixels: KerasTensor) -> keras.Model:
    """Return the network from pixels to its last feature maps, with random weights."""
    module = application.__module__.rpartition(".")[2]
    arguments = {"alpha": alpha} if module in WIDE else {}
    try:
        return application(
            include_top=False,
            weights=None,
            input_tensor=preprocess(pixels, module),
            input_shape=pixels.shape[1:],
            **arguments,
        )
    except ValueError as error:
        least = re.search(r"at least (\d+)x", str(error))
        if not least:
            raise
        height, width = pixels.shape[1:3]
        raise UserError(
            f"The network {application.__name__} needs images of at least {least[1]} pixels a side; these have "
            f"{height}×{width}. Set prepare.image_size in params.yaml to {least[1]} or more."
        ) from None


class LayerWeights(NamedTuple):
    """The weights of one layer, of a file or of the network.

    Attributes:
        key: what `.weights.h5` calls it, by its class and its number in its model; "" in a `.h5`, where order counts.
        name: the layer's, "" where unknown.
        arrays: in Keras's order.
    """

    key: str
    name: str
    arrays: list[h5py.Dataset | keras.Variable]

    def shapes(self) -> list[tuple[int, ...]]:
        """Return the arrays' shapes."""
        return [tuple(array.shape) for array in self.arrays]


def load_backbone(backbone: keras.Model, file: Path, wanted: dict[str, object]) -> None:
    """Give a network the weights of a file, in which it may stand alone, with a head, or within another model.

    Args:
        backbone: without a head.
        file: as the stage weights wrote it; no description of a model is read.
        wanted: weights.json, for the message.

    Raises:
        UserError: the file does not hold just one such network, of finite numbers.
    """
    layers_, expected = zip(*_layers_of(backbone), strict=True)
    try:
        with h5py.File(file, "r") as opened:
            models = [*_model_in_order(opened), *_models_by_key(opened)]
            found = [place for stored in models for place in _places(stored, expected)]
            # A model within a model is found in both.
            places = list({tuple(one.arrays[0].name for one in place): place for place in found}.values())
            reason = "" if places else _misfit(max(models, key=len, default=[]), expected)
            if len(places) > 1:
                reason = "it holds that network more than once, and nothing says which is meant"
            for layer, one in zip(layers_, places[0] if places else [], strict=False):
                arrays = {str(number): np.asarray(array) for number, array in enumerate(one.arrays)}
                if not all(np.isfinite(array).all() for array in arrays.values()):
                    reason = reason or f"its layer {one.name or one.key} holds NaN or infinity"
                if isinstance(layer, layers.Normalization) and np.allclose(arrays["1"], EFFICIENTNET_SPREAD):
                    arrays["1"] = np.square(arrays["1"])
                layer.load_own_variables(arrays)
    except (ValueError, OSError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        reason = str(error).strip().partition("\n")[0][:300] or "it is damaged"
    if reason:
        raise UserError(
            f"The weights from {wanted['source']} do not fit {wanted['model']} at alpha {wanted['alpha']}: {reason}.\n"
            "Expected weights of that network: alone, with a head, or as a model within a model. Mend "
            "pretrained.model, pretrained.alpha or pretrained.path in params.yaml."
        )


def _layers_of(model: keras.Model, inside: str = "") -> Iterator[tuple[keras.layers.Layer, LayerWeights]]:
    """Yield the layers that have weights, in order, and their weights as a file of Keras would name them."""
    numbers: Counter[str] = Counter()
    for layer in model.layers:
        words = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)).lower()
        key = f"{inside}{words}_{numbers[words]}" if numbers[words] else inside + words
        numbers[words] += 1
        if isinstance(layer, keras.Model):  # ConvNeXt has some
            yield from _layers_of(layer, f"{key}/{LAYERS}/")
        elif layer.weights:
            yield layer, LayerWeights(key, layer.name, layer.weights)


def _model_in_order(file: h5py.File) -> list[list[LayerWeights]]:
    """Return the layers of a `.h5`, those of a model within it in its place; [] for another file."""
    root = file.get("model_weights", file)
    found: dict[str, LayerWeights] = {}
    for layer in _names(root, "layer_names"):
        names = _names(root[layer], "weight_names")
        inner = {name.rpartition("/")[0] for name in names}
        for name in names:
            path = name.rpartition("/")[0]
            own = path.rpartition("/")[2] if len(inner) > 1 else layer
            found.setdefault(f"{layer}/{path}", LayerWeights("", own, [])).arrays.append(root[layer][name])
    return [list(found.values())] if found else []


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """Return a list of names, which Keras parts in pieces where it is long."""
    pieces = takewhile(group.attrs.__contains__, (f"{attribute}{number}" for number in count()))
    whole = [attribute] if attribute in group.attrs else pieces
    return [name.decode() if isinstance(name, bytes) else str(name) for piece in whole for name in group.attrs[piece]]


def _models_by_key(file: h5py.File) -> list[list[LayerWeights]]:
    """Return the layers of each model in a `.weights.h5`, with those of models within it; [] for another file."""
    found: defaultdict[str, list[LayerWeights]] = defaultdict(list)

    def note(path: str, group: object) -> None:
        path = path.replace("_layer_checkpoint_dependencies", LAYERS)  # as some of TensorFlow 2.12 have it
        if path.endswith("/vars") and isinstance(group, h5py.Group) and len(group):
            arrays = [group[str(number)] for number in range(len(group))]
            for place in re.finditer(rf"(?:^|/){LAYERS}/", path):
                key = path[place.end() :].removesuffix("/vars")
                found[path[: place.end()]].append(LayerWeights(key, str(group.attrs.get("name", "")), arrays))

    file.visititems(note)
    return list(found.values())


def _places(stored: list[LayerWeights], expected: Sequence[LayerWeights]) -> list[list[LayerWeights]]:
    """Return where in a model of the file the expected layers are: by keys, by names, or one after the other."""

    def fit(found: Sequence[LayerWeights | None]) -> bool:
        return all(
            one is not None and one.shapes() == layer.shapes() for one, layer in zip(found, expected, strict=True)
        )

    for field in ("key", "name"):
        ids = Counter(getattr(one, field) for one in stored)
        known = {getattr(one, field): one for one in stored if ids[getattr(one, field)] == 1}
        found = [known.get(getattr(layer, field), LayerWeights("", "", [])) for layer in expected]
        if fit(found):
            return [found]
    if not stored or stored[0].key:
        return []
    # A model within a model has first the weights that can be trained, of all its layers.
    fixed = [not any(weight.trainable for weight in layer.arrays) for layer in expected]
    ends = range(len(expected), len(stored) + 1)
    runs = [stored[end - len(expected) : end] for end in ends]
    later = np.argsort(np.argsort(fixed, kind="stable"))
    orders = [np.arange(len(expected)), *([later] if any(fixed) else [])]
    return [found for run in runs for order in orders if fit(found := [run[place] for place in order])]


def _misfit(stored: list[LayerWeights], expected: Sequence[LayerWeights]) -> str:
    """Say what a file holds in place of the expected layers."""
    known = {one.name: one for one in stored} | {one.key: one for one in stored}
    for layer in expected:
        one = known.get(layer.key) or known.get(layer.name)
        if one is None or one.shapes() != layer.shapes():
            found = f"is {one.shapes()} there" if one else "is not there"
            return (
                f"of {len(stored)} layers with weights in it, no {len(expected)} are that network's; for instance "
                f"{layer.name}, expected as {layer.shapes()}, {found}"
            )
    return f"the {len(stored)} layers with weights in it have another order"
