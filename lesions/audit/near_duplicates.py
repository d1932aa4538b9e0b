"""The same picture a second time: resized, recompressed, slightly cropped, brightened, mirrored, or turned.

Each step looks closer at fewer pairs, so that a hundred thousand pictures are never compared pair by pair:

1. Of each picture a vector of low frequencies, which flips and quarter turns do not change. A k-d tree finds
   for each picture the few whose vectors are near.
2. Of each such pair the one is turned and moved onto the other, at a quarter of the resolution.
3. What still fits is moved exactly, and compared patch by patch in its fine detail: two round nevi look alike
   from afar, but the pores, hairs and pigment network of one are not those of the other.

The constants were chosen on HAM10000 and copies made of it; `benchmarks/near_copies.py` measures what they give.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from lesions.images.parallel_map import parallel_map

SIDE = 64
"""Pictures are compared at 64×64 pixels, whatever their shape, so that a quarter turn keeps the shape."""
MIDDLE, COARSE, COLOUR_SIDE = 32, 16, 8
"""The sides at which a pair is moved, before that turned, and at which colours are kept."""
MIXTURES = np.array([[1 / 3, 1, 0], [1 / 3, 0, 0], [1 / 3, 0, 1]], np.float32)
"""What red, green and blue add to grey, red and blue."""

ORDER, COLOUR_ORDER = 10, 4
"""The highest frequencies of the vector, in half waves a picture, both axes together; of colour fewer do."""
COLOUR_WEIGHT = 0.5
"""Recompression changes colour more than brightness."""
NEIGHBOURS, RADIUS = 24, 0.29
"""How many of a picture's nearest vectors are looked at, and how far they may be."""
MAX_UNLIKENESS_TURNED, MAX_UNLIKENESS_MOVED = 0.075, 0.013
"""One minus the correlation of a pair that was turned, and then also moved. Copies are below."""
MIN_LIKENESS = 0.44
"""The mean correlation of the patches less ten times the unlikeness from afar. Copies are above, others below."""
PATCH, MARGIN = 8, 4
"""Sides in pixels of a patch, and of the rim that a copy may lack."""

BATCH = 256
"""Pairs compared at once."""

Floats = NDArray[np.float32]
Pairs = NDArray[np.int64]


class Fingerprint(NamedTuple):
    """What is kept of a picture to find its copies.

    Attributes:
        luma: uint8, (64, 64): grey values.
        colour: float32, (2, 8, 8): how far red and blue are from grey.
    """

    luma: NDArray[np.uint8]
    colour: Floats


def fingerprint(pixels: NDArray[np.uint8]) -> Fingerprint:
    """Return the fingerprint of a picture of (64, 64, 3) pixels, RGB."""
    grey, red, blue = np.moveaxis(pixels.astype(np.float32) @ MIXTURES, 2, 0)
    colour = _shrink(np.stack([red - grey, blue - grey]), COLOUR_SIDE)
    return Fingerprint(grey.round().astype(np.uint8), colour)


def _vectors(luma: NDArray[np.uint8], colour: Floats) -> Floats:
    """Return each picture's vector, (N, D): low frequencies of its grey values and colours, relative to both's size."""
    grey = _shrink(luma, MIDDLE)
    brightness = _brightness(grey)
    grey /= brightness
    # Without the constant, noise would be all there is of a blank picture.
    contrast = grey.std(axis=(1, 2), keepdims=True) + np.float32(0.05)
    parts = [_symmetric(grey / contrast, ORDER)[:, 1:]]  # without the mean, which is 1
    parts += [COLOUR_WEIGHT * _symmetric(colour[:, number] / brightness / contrast, COLOUR_ORDER) for number in (0, 1)]
    return np.concatenate(parts, axis=1)


def _symmetric(planes: Floats, order: int) -> Floats:
    """Return planes' lowest frequencies in a form that no flip and no quarter turn of a plane changes.

    A flip changes the sign of its axis's odd frequencies; a transposition swaps (u, v) with (v, u). The values
    taken of such a pair do not grow farther apart than the pair does: so the vectors of two pictures are at
    most as far apart as the pictures, turned alike.
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


def find_near_copies(luma: NDArray[np.uint8], colour: Floats, workers: int = -1) -> pd.DataFrame:
    """Find the pairs of pictures that are copies of one another.

    Of a picture with very many copies not every pair is found, but each copy is, by another one.

    Args:
        luma: (N, 64, 64), the pictures' fingerprints.
        colour: (N, 2, 8, 8), the same.
        workers: how many threads; -1 for one a core. It changes nothing else.

    Returns:
        A row a pair, in order: `one` < `other`, which number rows of the arguments, and `likeness`, from
        `MIN_LIKENESS` to 1.
    """
    pairs = _near(_vectors(luma, colour))
    coarse = _relative(_shrink(luma, COARSE))

    def compare(start: int) -> pd.DataFrame:
        return _compare(luma, coarse, pairs[start : start + BATCH])

    starts = range(0, len(pairs), BATCH)
    # In this process's threads, even where there is a cluster: all of the pictures would have to travel.
    found = parallel_map(
        compare, starts, len(starts), desc="comparing", workers=workers, unit=" batches", use_cluster=False
    )
    return pd.concat([_compare(luma, coarse, pairs[:0]), *found], ignore_index=True)


def _near(vectors: Floats) -> Pairs:
    """Return the pairs of near vectors, (M, 2), the smaller row first, sorted."""
    # One more, since each is its own nearest. Where there are fewer, the tree gives N as the row.
    _, rows = cKDTree(vectors).query(vectors, k=NEIGHBOURS + 1, distance_upper_bound=RADIUS, workers=-1)
    ones = np.repeat(np.arange(len(vectors)), NEIGHBOURS + 1)
    pairs = np.column_stack([ones, rows.ravel()])
    pairs = np.sort(pairs[(pairs[:, 1] < len(vectors)) & (pairs[:, 0] != pairs[:, 1])], axis=1)
    unique: Pairs = np.unique(pairs, axis=0)
    return unique


def _compare(luma: NDArray[np.uint8], coarse: Floats, pairs: Pairs) -> pd.DataFrame:
    """Return the copies among pairs; see `find_near_copies`. `coarse` is `luma`, shrunk and `_relative`."""
    ones, others = (coarse[rows] for rows in pairs.T)
    turn, unlikeness = _best_turn(_unit(ones), _unit(others))
    fit = unlikeness <= MAX_UNLIKENESS_TURNED
    pairs, turn, ones, others = pairs[fit], turn[fit], ones[fit], others[fit]

    moves = np.zeros((len(pairs), 4), np.float32)
    moves, unlikeness = _move(ones, _turned(others, turn), moves, steps=3, blur=0.7)
    fit = unlikeness <= MAX_UNLIKENESS_MOVED
    pairs, turn, moves, unlikeness = pairs[fit], turn[fit], moves[fit], unlikeness[fit]

    ones, others = (_relative(luma[rows].astype(np.float32)) for rows in pairs.T)
    others = _turned(others, turn)
    moves, middle = _move(_shrink(ones, MIDDLE), _shrink(others, MIDDLE), moves, steps=4, blur=1)
    fit = middle <= MAX_UNLIKENESS_MOVED
    pairs, ones, others, moves, unlikeness = pairs[fit], ones[fit], others[fit], moves[fit], unlikeness[fit]

    moves, _ = _move(ones, others, moves, steps=2, blur=1)
    likeness = _correlate_patches(ones, _moved(others, moves)) - 10 * unlikeness
    found = pd.DataFrame({"one": pairs[:, 0], "other": pairs[:, 1], "likeness": likeness.astype(np.float64)})
    return found[found["likeness"] >= MIN_LIKENESS]


def _brightness(pictures: Floats) -> Floats:
    mean: Floats = np.maximum(1, pictures.mean(axis=(1, 2), keepdims=True))
    return mean


def _relative(pictures: Floats) -> Floats:
    return pictures / _brightness(pictures)


def _shrink(pictures: Floats | NDArray[np.uint8], side: int) -> Floats:
    """Average pictures down to a side; both sides are powers of two."""
    shrunk = np.empty((len(pictures), side, side), np.float32)
    for start in range(0, len(pictures), BATCH):  # which stay in the processor's cache
        small = pictures[start : start + BATCH].astype(np.float32)
        while small.shape[1] > side:
            small = small[:, ::2] + small[:, 1::2]
            small = (small[:, :, ::2] + small[:, :, 1::2]) / np.float32(4)
        shrunk[start : start + BATCH] = small
    return shrunk


def _unit(pictures: Floats) -> Floats:
    """Scale each picture to mean 0 and length 1, so that a product of two is their correlation."""
    around: Floats = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    around /= np.sqrt((around**2).sum(axis=(1, 2), keepdims=True)) + np.float32(1e-6)
    return around


def _turned(pictures: Floats, turn: NDArray[np.int64]) -> Floats:
    """Turn each of (N, side, side) pictures by one of the eight flips and quarter turns, numbered 0 to 7."""
    result = pictures.copy()
    for number in range(8):
        view = pictures[turn == number]
        view = view.swapaxes(1, 2) if number & 4 else view
        result[turn == number] = view[:, :: -1 if number & 2 else 1, :: -1 if number & 1 else 1]
    return result


def _best_turn(ones: Floats, others: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Return for each pair of `_unit` pictures the best turn of the other, and one minus their correlation then."""
    turned = (_turned(others, np.full(len(others), number)) for number in range(8))
    correlation = np.stack([np.einsum("nij,nij->n", ones, view) for view in turned], axis=1)
    return correlation.argmax(axis=1), 1 - correlation.max(axis=1)


def _move(ones: Floats, others: Floats, moves: Floats, steps: int, blur: float) -> tuple[Floats, Floats]:
    """Move each other picture onto the one, by Gauss-Newton steps (Lucas and Kanade, IJCAI 1981).

    Args:
        ones: (N, side, side).
        others: (N, side, side).
        moves: (N, 4), where to begin: shift and stretch in x, shift and stretch in y; shifts as fractions of
            the side.
        steps: how many.
        blur: standard deviation of the Gaussian that smooths both first, in pixels.

    Returns:
        The moves, (N, 4), and one minus the correlation of each pair so moved.
    """
    side = ones.shape[1]
    rim = max(1, MARGIN * side // SIDE)
    inside, number = np.s_[:, rim:-rim, rim:-rim], (side - 2 * rim) ** 2
    ones, others = gaussian_filter(ones, (0, blur, blur)), gaussian_filter(others, (0, blur, blur))
    place = ((np.arange(side) - (side - 1) / 2) / side).astype(np.float32)
    down, right = (gradient * side for gradient in np.gradient(ones, axis=(1, 2)))
    # Besides the four moves, a factor and an offset of the brightness are fitted, and forgotten.
    slopes = [right, right * place, down, down * place[:, None], ones, np.ones_like(ones)]
    columns = np.stack(slopes, axis=3)[inside].reshape(len(ones), number, len(slopes))
    rows = columns.swapaxes(1, 2)
    square = rows @ columns
    # A little of the diagonal is added, so that pictures without structure have a solution as well.
    square += 1e-4 * np.trace(square, axis1=1, axis2=2)[:, None, None] / 6 * np.eye(6, dtype=np.float32)
    for _ in range(steps):
        error = (_moved(others, moves) - ones)[inside].reshape(len(ones), number, 1)
        step = np.linalg.solve(square, rows @ error)[:, :4, 0]
        # Beyond what cropping 3 % of each edge does, there is nothing to find.
        moves = np.clip(moves - step, [-0.06, -0.1, -0.06, -0.1], [0.06, 0.1, 0.06, 0.1]).astype(np.float32)
    correlation = (_unit(ones[inside]) * _unit(_moved(others, moves)[inside])).sum(axis=(1, 2))
    return moves, 1 - correlation


def _moved(pictures: Floats, moves: Floats) -> Floats:
    """Sample each picture at moved places, linearly between pixels; see `_move`."""
    side = pictures.shape[1]
    moved: Floats = _weights(side, moves[:, 2], moves[:, 3]) @ pictures
    return moved @ _weights(side, moves[:, 0], moves[:, 1]).swapaxes(1, 2)


def _weights(side: int, shift: Floats, stretch: Floats) -> Floats:
    """Return, (N, side, side), how much each place on a line takes of each pixel; beyond the edge, of the last one."""
    places = np.arange(side, dtype=np.float32)
    centre = np.float32((side - 1) / 2)
    wanted = (1 + stretch[:, None]) * (places - centre) + centre + shift[:, None] * side
    distance = np.abs(np.clip(wanted, 0, side - 1)[:, :, None] - places)
    weights: Floats = np.maximum(0, 1 - distance)
    return weights


def _correlate_patches(ones: Floats, others: Floats) -> Floats:
    """Return each pair's mean correlation over patches of their fine detail, a difference of two Gaussians."""

    def patches(pictures: Floats) -> Floats:
        detail = gaussian_filter(pictures, (0, 1, 1)) - gaussian_filter(pictures, (0, 2, 2))
        detail = detail[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        number = detail.shape[1] // PATCH
        tiles: Floats = detail.reshape(len(pictures), number, PATCH, number, PATCH).swapaxes(2, 3)
        tiles = tiles.reshape(len(pictures), number**2, PATCH**2)
        tiles -= tiles.mean(axis=2, keepdims=True)
        return tiles

    one, other = patches(ones), patches(others)
    # The constant makes a patch without any detail count as unlike.
    length = np.sqrt((one**2).sum(axis=2) * (other**2).sum(axis=2) + np.float32(1e-9))
    mean: Floats = ((one * other).sum(axis=2) / length).mean(axis=1)
    return mean
