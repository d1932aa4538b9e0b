"""An ensemble of networks as one network, by the mean of their logits.

Networks trained from different random seeds err differently, so their mean is right more often than each, and less
confident where they disagree (Lakshminarayanan, Pritzel, Blundell: Simple and scalable predictive uncertainty
estimation using deep ensembles, NeurIPS 2017). As one network it is run, explained and exported like any other.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import KerasTensor, layers

from lesions.core.errors import UserError


def member_seed(number: int, seed: int) -> int:
    """Return a member's random seed; the first one's is that of params.yaml.

    Args:
        number: which member, counted from 0.
        seed: of params.yaml.
    """
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0]) if number else seed


def feature_maps(model: keras.Model) -> KerasTensor:
    """Return the last feature maps of a network, whose means its last layer reads.

    Raises:
        UserError: other layers stand between them and the output.
    """
    behind = [layer for layer in model.layers if not isinstance(layer, layers.Dropout)][-2:]
    if [type(layer) for layer in behind] != [layers.GlobalAveragePooling2D, layers.Dense]:
        raise UserError(
            "train.ensemble_size is for networks whose last layer reads the means of their feature maps, as plain, "
            "residual and pretrained do; this one has other layers at its end. Set train.ensemble_size to 1."
        )
    return behind[0].input


def require_one_size(members: Sequence[keras.Model]) -> None:
    """Refuse networks that cannot be merged, before they are trained.

    Args:
        members: of the ensemble; alike or not.

    Raises:
        UserError: their feature maps differ in size, or other layers stand between these and the output.
    """
    sizes = dict.fromkeys(feature_maps(member).shape[1:3] for member in members)
    if len(sizes) > 1:
        raise UserError(
            "the members of an ensemble need feature maps of one size, and these are of "
            f"{' and '.join(f'{height}×{width}' for height, width in sizes)}. Name other networks in "
            "pretrained.further_members, or change prepare.image_size."
        )


def merge_members(members: Sequence[keras.Model]) -> keras.Model:
    """Return one network whose logits are the members' mean; of one member, that itself.

    Their last feature maps are concatenated, and one dense layer reads the means of all, so that it can be explained
    as each of them can.

    Args:
        members: each from pixels to the classes' probabilities; alike or not, with feature maps of one size.
    """
    if len(members) == 1:
        return members[0]
    pixels = keras.Input(members[0].input_shape[1:], name="pixels")
    maps = layers.Concatenate(name="maps")([_renamed(member, number, pixels) for number, member in enumerate(members)])
    last = layers.Dense(members[0].output_shape[-1], activation="softmax", name="probabilities")
    whole = keras.Model(pixels, last(layers.GlobalAveragePooling2D(name="head_pooling")(maps)))
    kernels, biases = zip(*(member.layers[-1].get_weights() for member in members), strict=True)
    last.set_weights([np.concatenate(kernels) / len(members), np.mean(biases, axis=0)])
    return whole


def _renamed(member: keras.Model, number: int, pixels: KerasTensor) -> KerasTensor:
    """Return a member's feature maps of these pixels, from layers whose names no other member has."""

    def renamed(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        return type(layer).from_config({**config, "name": f"{config['name']}_{number + 1}"})

    body = keras.Model(member.input, feature_maps(member))
    copy = keras.models.clone_model(body, input_tensors=pixels, clone_function=renamed)
    copy.set_weights(body.get_weights())
    return copy.output
