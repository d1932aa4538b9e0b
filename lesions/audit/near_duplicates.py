"""Find near-duplicates: an image resized, recompressed, slightly cropped, brightened, mirrored, or rotated.

Each step looks closer at fewer pairs, so that hundreds of thousands of images are never compared pair by pair:

1. Of each image a vector of low frequencies, which flips and quarter turns do not change; and for each image the
   few whose vectors are near.
2. Of each such pair the one is rotated and moved onto the other, at a quarter of the resolution.
3. What still fits is moved exactly, and compared patch by patch in its fine detail: two round nevi look alike
   from afar, but the pores, hairs and pigment network of one are not those of the other.

The constants were chosen on HAM10000 and near-duplicates made of it; `benchmarks/near_duplicates.py` measures their
recall.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

from lesions.audit.near_vectors import near_pairs
from lesions.audit.pair_cache import compare_new
from lesions.audit.temporary_array import temporary_array
from lesions.images.content_cache import ContentCache
from lesions.images.parallel_map import parallel_map

SIZE = 64
"""Images are compared at 64×64 pixels, whatever their shape, so that a quarter turn keeps the shape."""
MIDDLE, COARSE, COLOUR_SIZE = 32, 16, 8
"""The sizes at which a pair is aligned, before that rotated, and at which colours are kept, in pixels."""
MIXTURES = np.array([[1 / 3, 1, 0], [1 / 3, 0, 0], [1 / 3, 0, 1]], np.float32)
"""What red, green and blue add to grey, red and blue."""

ORDER, COLOUR_ORDER = 10, 4
"""The highest frequencies of the vector, in half waves an image, both axes together; of colour fewer do."""
COLOUR_WEIGHT = 0.5
"""Recompression changes colour more than brightness."""
NEIGHBOURS, RADIUS = 24, 0.29
"""How many of an image's nearest vectors are compared, and how far they may be."""
MAX_DISTANCE_ROTATED, MAX_DISTANCE_ALIGNED = 0.075, 0.013
"""One minus the correlation of a pair that was rotated, and then also aligned. Near-duplicates are below."""
MIN_SIMILARITY = 0.44
"""The mean correlation of the patches less ten times the distance from afar. Near-duplicates are above."""
PATCH, MARGIN = 8, 4
"""Widths in pixels of a patch, and of the rim that a near-duplicate may lack."""

BATCH = 256
"""Pairs compared at once."""
BLOCK = 8192
"""Images prepared for the comparison at once: memory stays flat, however many there are."""

Floats = NDArray[np.float32]
Pairs = NDArray[np.int64]


class Fingerprint(NamedTuple):
    """What is kept of an image to find its near-duplicates.

    Attributes:
        luma: uint8, (64, 64): grey values.
        colour: float32, (2, 8, 8): how far red and blue are from grey.
    """

    luma: NDArray[np.uint8]
    colour: Floats


def fingerprint(pixels: NDArray[np.uint8]) -> Fingerprint:
    """Return the fingerprint of an image of (64, 64, 3) pixels, RGB."""
    grey, red, blue = np.moveaxis(pixels.astype(np.float32) @ MIXTURES, 2, 0)
    colour = _shrink(np.stack([red - grey, blue - grey]), COLOUR_SIZE)
    return Fingerprint(grey.round().astype(np.uint8), colour)


def vectors_of(luma: NDArray[np.uint8], colour: Floats) -> Floats:
    """Return each image's vector, (N, D): low frequencies of its grey values and colours, relative to both's size."""
    grey = _shrink(luma, MIDDLE)
    brightness = _brightness(grey)
    grey /= brightness
    # Without the constant, noise would be all there is of a blank image.
    contrast = grey.std(axis=(1, 2), keepdims=True) + np.float32(0.05)
    parts = [_symmetric(grey / contrast, ORDER)[:, 1:]]  # without the mean, which is 1
    parts += [COLOUR_WEIGHT * _symmetric(colour[:, number] / brightness / contrast, COLOUR_ORDER) for number in (0, 1)]
    return np.concatenate(parts, axis=1)


def _symmetric(planes: Floats, order: int) -> Floats:
    """Return planes' lowest frequencies in a form that no flip and no quarter turn of a plane changes.

    A flip changes the sign of its axis's odd frequencies; a transposition swaps (u, v) with (v, u). The values
    taken of such a pair do not grow farther apart than the pair does: so the vectors of two images are at
    most as far apart as the images, rotated alike.
    """
    waves = dctn(planes, axes=(1, 2), norm="ortho") / planes.shape[1]
    u, v = np.tril_indices(order + 1)
    u, v = u[u + v <= order], v[u + v <= order]
    one, other = waves[:, u, v], waves[:, v, u]
    even, odd = (u % 2 == 0) & (v % 2 == 0), (u % 2 == 1) & (v % 2 == 1)
    total, difference = (one + other) / np.sqrt(2), np.abs(one - other) / np.sqrt(2)
    larger, smaller = np.maximum(np.abs(one), np.abs(other)), np.minimum(np.abs(one), np.abs(other))
    first = np.where(even, total, np.where(odd, np.abs(total), larger))
    second = np.where(even | odd, difference, smaller)
    return np.concatenate([first, second[:, u != v]], axis=1).astype(np.float32)


def find_near_duplicates(
    luma: NDArray[np.uint8],
    colour: Floats,
    rows: Pairs | None = None,
    sha256: Sequence[str] = (),
    cache: ContentCache | None = None,
) -> pd.DataFrame:
    """Find the pairs of near-duplicates.

    Of an image with very many near-duplicates not every pair is found, but each image is, by another one.

    Args:
        luma: (N, 64, 64), the images' fingerprints.
        colour: (N, 2, 8, 8), the same.
        rows: which images, (M,); all of them, in their order, where it is not given.
        sha256: of the bytes of each of these images, for the cache.
        cache: of `open_similarities`, if what is found is to be kept.

    Returns:
        One row per pair, in order: `one` < `other`, places in `rows`, and `similarity`, from `MIN_SIMILARITY` to 1.
    """
    rows = np.arange(len(luma)) if rows is None else rows
    # On the disk: of hundreds of thousands of images they would fill the memory.
    vectors = temporary_array((len(rows), vectors_of(luma[:0], colour[:0]).shape[1]), np.float32)
    coarse = temporary_array((len(rows), COARSE, COARSE), np.float32)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        vectors[start : start + BLOCK] = vectors_of(luma[block], colour[block])
        coarse[start : start + BLOCK] = _relative(_shrink(luma[block], COARSE))
    pairs = near_pairs(vectors, RADIUS, NEIGHBOURS)

    def compare(pairs: Pairs) -> NDArray[np.float64]:
        batches = [pairs[start : start + BATCH] for start in range(0, len(pairs), BATCH)]
        one = partial(_compare, luma, coarse, rows)
        # In this process's threads, even where there is a cluster: all of the images would have to travel.
        found = parallel_map(one, batches, len(batches), desc="comparing", unit=" batches", use_cluster=False)
        return np.concatenate([np.empty(0), *found])

    similarity = compare(pairs) if cache is None else compare_new(compare, pairs, sha256, cache)
    found = pd.DataFrame({"one": pairs[:, 0], "other": pairs[:, 1], "similarity": similarity})
    return found[~np.isnan(similarity)].reset_index(drop=True)


def _compare(luma: NDArray[np.uint8], coarse: Floats, rows: Pairs, pairs: Pairs) -> NDArray[np.float64]:
    """Return the similarity of each pair, NaN where they are no near-duplicates.

    Args:
        luma: that of all images.
        coarse: `luma[rows]`, shrunk and `_relative`.
        rows: see `find_near_duplicates`.
        pairs: (N, 2), places in `rows`.
    """
    found, places = np.full(len(pairs), np.nan), np.arange(len(pairs))
    ones, others = (coarse[column] for column in pairs.T)
    rotation, distance = _best_rotation(_unit(ones), _unit(others))
    fit = distance <= MAX_DISTANCE_ROTATED
    places, pairs, rotation, ones, others = places[fit], pairs[fit], rotation[fit], ones[fit], others[fit]

    moves = np.zeros((len(pairs), 4), np.float32)
    moves, distance = _align(ones, _rotated(others, rotation), moves, steps=3, blur=0.7)
    fit = distance <= MAX_DISTANCE_ALIGNED
    places, pairs, rotation, moves, distance = places[fit], pairs[fit], rotation[fit], moves[fit], distance[fit]

    ones, others = (_relative(luma[rows[column]].astype(np.float32)) for column in pairs.T)
    others = _rotated(others, rotation)
    moves, middle = _align(_shrink(ones, MIDDLE), _shrink(others, MIDDLE), moves, steps=4, blur=1)
    fit = middle <= MAX_DISTANCE_ALIGNED
    places, ones, others, moves, distance = places[fit], ones[fit], others[fit], moves[fit], distance[fit]

    moves, _ = _align(ones, others, moves, steps=2, blur=1)
    similarity = _correlate_patches(ones, _shifted(others, moves)) - 10 * distance
    similar = similarity >= MIN_SIMILARITY
    found[places[similar]] = similarity[similar]
    return found


def _brightness(images: Floats) -> Floats:
    mean: Floats = np.maximum(1, images.mean(axis=(1, 2), keepdims=True))
    return mean


def _relative(images: Floats) -> Floats:
    return images / _brightness(images)


def _shrink(images: Floats | NDArray[np.uint8], size: int) -> Floats:
    """Average images down to a size; both sizes are powers of two."""
    shrunk = np.empty((len(images), size, size), np.float32)
    for start in range(0, len(images), BATCH):  # which stay in the processor's cache
        small = images[start : start + BATCH].astype(np.float32)
        while small.shape[1] > size:
            small = small[:, ::2] + small[:, 1::2]
            small = (small[:, :, ::2] + small[:, :, 1::2]) / np.float32(4)
        shrunk[start : start + BATCH] = small
    return shrunk


def _unit(images: Floats) -> Floats:
    """Scale each image to mean 0 and length 1, so that a product of two is their correlation."""
    around: Floats = images - images.mean(axis=(1, 2), keepdims=True)
    around /= np.sqrt((around**2).sum(axis=(1, 2), keepdims=True)) + np.float32(1e-6)
    return around


def _rotated(images: Floats, rotation: NDArray[np.int64]) -> Floats:
    """Turn each of (N, size, size) images by one of the eight flips and quarter turns, numbered 0 to 7."""
    result = images.copy()
    for number in range(8):
        view = images[rotation == number]
        view = view.swapaxes(1, 2) if number & 4 else view
        result[rotation == number] = view[:, :: -1 if number & 2 else 1, :: -1 if number & 1 else 1]
    return result


def _best_rotation(ones: Floats, others: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Return for each pair of `_unit` images the best rotation of the other, and one minus their correlation then."""
    rotated = (_rotated(others, np.full(len(others), number)) for number in range(8))
    correlation = np.stack([np.einsum("nij,nij->n", ones, view) for view in rotated], axis=1)
    return correlation.argmax(axis=1), 1 - correlation.max(axis=1)


def _align(ones: Floats, others: Floats, moves: Floats, steps: int, blur: float) -> tuple[Floats, Floats]:
    """Move each other image onto the one, by Gauss-Newton steps (Lucas and Kanade, IJCAI 1981), from `moves` on.

    Moves are (N, 4): shift and stretch in x, shift and stretch in y; shifts as fractions of the size. Returned is with
    them one minus the correlation of each pair so moved.
    """
    size = ones.shape[1]
    rim = max(1, MARGIN * size // SIZE)
    inside, number = np.s_[:, rim:-rim, rim:-rim], (size - 2 * rim) ** 2
    ones, others = gaussian_filter(ones, (0, blur, blur)), gaussian_filter(others, (0, blur, blur))
    place = ((np.arange(size) - (size - 1) / 2) / size).astype(np.float32)
    down, right = (gradient * size for gradient in np.gradient(ones, axis=(1, 2)))
    # Besides the four moves, a factor and an offset of the brightness are fitted, and forgotten.
    slopes = [right, right * place, down, down * place[:, None], ones, np.ones_like(ones)]
    columns = np.stack(slopes, axis=3)[inside].reshape(len(ones), number, len(slopes))
    rows = columns.swapaxes(1, 2)
    square = rows @ columns
    # A little of the diagonal is added, so that images without structure have a solution as well.
    square += 1e-4 * np.trace(square, axis1=1, axis2=2)[:, None, None] / 6 * np.eye(6, dtype=np.float32)
    for _ in range(steps):
        error = (_shifted(others, moves) - ones)[inside].reshape(len(ones), number, 1)
        step = np.linalg.solve(square, rows @ error)[:, :4, 0]
        # Beyond what cropping 3 % of each edge does, there is nothing to find.
        moves = np.clip(moves - step, [-0.06, -0.1, -0.06, -0.1], [0.06, 0.1, 0.06, 0.1]).astype(np.float32)
    correlation = (_unit(ones[inside]) * _unit(_shifted(others, moves)[inside])).sum(axis=(1, 2))
    return moves, 1 - correlation


def _shifted(images: Floats, moves: Floats) -> Floats:
    """Sample each image at moved places, linearly between pixels; see `_align`."""
    size = images.shape[1]
    moved: Floats = _weights(size, moves[:, 2], moves[:, 3]) @ images
    return moved @ _weights(size, moves[:, 0], moves[:, 1]).swapaxes(1, 2)


def _weights(size: int, shift: Floats, stretch: Floats) -> Floats:
    """Return, (N, size, size), how much each place on a line takes of each pixel; beyond the edge, of the last one."""
    places = np.arange(size, dtype=np.float32)
    centre = np.float32((size - 1) / 2)
    wanted = (1 + stretch[:, None]) * (places - centre) + centre + shift[:, None] * size
    distance = np.abs(np.clip(wanted, 0, size - 1)[:, :, None] - places)
    weights: Floats = np.maximum(0, 1 - distance)
    return weights


def _correlate_patches(ones: Floats, others: Floats) -> Floats:
    """Return each pair's mean correlation over patches of their fine detail, a difference of two Gaussians."""

    def patches(images: Floats) -> Floats:
        detail = gaussian_filter(images, (0, 1, 1)) - gaussian_filter(images, (0, 2, 2))
        detail = detail[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        number = detail.shape[1] // PATCH
        tiles: Floats = detail.reshape(len(images), number, PATCH, number, PATCH).swapaxes(2, 3)
        tiles = tiles.reshape(len(images), number**2, PATCH**2)
        tiles -= tiles.mean(axis=2, keepdims=True)
        return tiles

    one, other = patches(ones), patches(others)
    # The constant makes a patch without any detail count as different.
    length = np.sqrt((one**2).sum(axis=2) * (other**2).sum(axis=2) + np.float32(1e-9))
    mean: Floats = ((one * other).sum(axis=2) / length).mean(axis=1)
    return mean
