"""Real-time augmentation: training images changed at random, anew in each epoch, while the network trains.

What becomes of an image is a function of (seed, epoch, row, pixels) alone, whatever the batch and the threads, and
wherever a training that was interrupted goes on.

It must not keep the network waiting, so it is built for speed: an image is packed into one 32-bit word a pixel, and
turned, moved, zoomed and mirrored by looking up each pixel once. Between its pixels stand the means of neighbours, so
places are exact to a quarter of a pixel. That takes less than half the time of Pillow's bilinear `transform`, which
would leave black corners, and less than a quarter of that of TensorFlow's `ImageProjectiveTransformV3`.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lesions.core.errors import UserError
from lesions.params.train import Augment

Pixels = NDArray[np.uint8]

DRAWS = ("mirror", "turn_over", "transpose", "rotate", "across", "down", "zoom", "brightness", "contrast", "colour")
"""The random numbers of an image, whether in use or not, so that no option changes what another one does. Colour, the
last, takes three."""

BITS = 14
"""Fractional bits of a coordinate, a fixed-point integer: with floats, the last bit may hang on the processor."""

HALF = 32
"""Bits of each half of a packed coordinate."""

RGB, WORD = 3, 4
"""Bytes a pixel, before it is packed and after."""


class Changes(NamedTuple):
    """What becomes of each image in one epoch.

    Attributes:
        places: int64, (images, 3), or None: a, b, c; the pixel at column x and row y comes from the packed fixed-point
            coordinate ax + by + c: column in the upper 32 bits, row in the lower, in half pixels with `BITS` fractional
            bits, offset so that both are 0 or more.
        gains: float32, (images, 3), or None: what each channel is multiplied by.
        contrasts: float32, (images,), or None: what the distance from the image's mean is multiplied by.
    """

    places: NDArray[np.int64] | None
    gains: NDArray[np.float32] | None
    contrasts: NDArray[np.float32] | None


class Augmentation:
    """Augmentation of images of one shape; call it with a batch.

    Args:
        wanted: by how much images are changed at most; each amount is sampled uniformly from its range.
        shape: of an image: height, width, 3.
        images: how many rows there are; row numbers are below it.
        seed: random seed of the changes.

    Raises:
        UserError: images that are not square cannot be transposed.
    """

    def __init__(self, wanted: Augment, shape: tuple[int, ...], images: int, seed: int) -> None:
        height, width = self._shape = shape[0], shape[1]
        if wanted.transpose and height != width:
            raise UserError(
                f"train.augment.transpose is true, and the images are {width} pixels wide and {height} high: only "
                "square ones keep their shape. Set it to false, or prepare.image_size to one number."
            )
        self._wanted = wanted
        self._images = images
        self._seed = seed
        self._drawn = (-1, Changes(None, None, None))  # an epoch and what was drawn for it
        # Half columns and half rows, from the first to the last that can be reached.
        reach = math.hypot(height, width) / 2 / (1 - wanted.zoom)
        spans = [(side - 1, math.ceil(2 * (reach + wanted.shift * side)) + 1) for side in (width, height)]
        self._first = [middle - span for middle, span in spans]
        columns, rows = (_reflected(np.arange(middle - span, middle + span + 1), middle + 1) for middle, span in spans)
        # The place of each in the four planes of `_fill_between`: even ones are pixels, odd ones lie between two.
        self._column_places = columns % 2 * (height * width) + columns // 2
        self._row_places = rows % 2 * (2 * height * width) + rows // 2 * width
        self._moves = bool(wanted.rotate or wanted.shift or wanted.zoom)

    def __call__(self, batch: Pixels, rows: NDArray[np.int64], epoch: int) -> Pixels:
        """Return the images as this epoch shows them.

        Args:
            batch: uint8, (n, height, width, 3).
            rows: the number of each image.
            epoch: counted from 0.

        Returns:
            uint8, (n, height, width, 3); a new array.
        """
        drawn = self._drawn
        if drawn[0] != epoch:
            drawn = self._drawn = epoch, self.changes(epoch)
        changes = drawn[1]
        # One byte more, since the word of the last pixel is one byte longer than the pixel.
        done = np.empty(batch.size + 1, np.uint8)
        for number, (pixels, row) in enumerate(zip(batch, rows.tolist(), strict=True)):
            result = done[number * pixels.size : (number + 1) * pixels.size + 1]
            if changes.places is None:
                result[:-1] = pixels.reshape(-1)
            else:
                self._place(pixels, changes.places[row].tolist(), result)
            if changes.gains is not None:
                contrast = 1 if changes.contrasts is None else changes.contrasts[row]
                _tone(result[:-1].reshape(len(pixels), -1), changes.gains[row], contrast)
        return done[:-1].reshape(batch.shape)

    def changes(self, epoch: int) -> Changes:
        """Draw what becomes of each image in an epoch; the first rows' do not depend on how many there are."""
        wanted = self._wanted
        random = np.random.default_rng([self._seed, epoch, 1])  # [seed, epoch] is the random seed of the order
        drawn = random.uniform(-1, 1, (self._images, len(DRAWS) + RGB - 1))
        draws = dict(zip(DRAWS, drawn.T, strict=False))
        places = gains = contrasts = None
        if self._moves or wanted.flip != "none" or wanted.transpose:
            places = self._places(draws)
        if wanted.brightness or wanted.contrast or wanted.colour:
            colours = 1 + wanted.colour * drawn[:, -RGB:]
            gains = ((1 + wanted.brightness * draws["brightness"])[:, None] * colours).astype(np.float32)
        if wanted.contrast:
            contrasts = (1 + wanted.contrast * draws["contrast"]).astype(np.float32)
        return Changes(places, gains, contrasts)

    def _places(self, draws: dict[str, NDArray[np.float64]]) -> NDArray[np.int64]:
        """Return where each image's pixels come from; see `Changes`."""
        wanted = self._wanted
        height, width = self._shape
        mirrored = np.where((draws["mirror"] < 0) & (wanted.flip != "none"), -1, 1)
        turned_over = np.where((draws["turn_over"] < 0) & (wanted.flip == "all"), -1, 1)
        angle = np.radians(wanted.rotate * draws["rotate"])
        zoom = 1 + wanted.zoom * draws["zoom"]
        cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
        a, b, d, e = cos * mirrored, -sin * turned_over, sin * mirrored, cos * turned_over
        transposed = (draws["transpose"] < 0) & wanted.transpose
        a, b, d, e = (np.where(transposed, *pair) for pair in ((b, a), (a, b), (e, d), (d, e)))
        # The middle stays in the middle, but for the shift. In half pixels, and a half more, to round.
        x, y = width - 1, height - 1
        c = x - a * x - b * y + 2 * wanted.shift * width * draws["across"] - self._first[0] + 0.5
        f = y - d * x - e * y + 2 * wanted.shift * height * draws["down"] - self._first[1] + 0.5
        columns, rows = np.rint(np.array([(2 * a, 2 * b, c), (2 * d, 2 * e, f)]) * 2**BITS).astype(np.int64)
        places: NDArray[np.int64] = ((columns << HALF) + rows).T
        return places

    def _place(self, pixels: Pixels, places: list[int], result: Pixels) -> None:
        """Write an image with its pixels moved, and one byte more that means nothing; see `Changes`."""
        height, width = self._shape
        a, b, c = places
        place = ((a * np.arange(width) + c) + b * np.arange(height)[:, None]).ravel()
        found = self._column_places.take(place >> (HALF + BITS))
        place >>= BITS
        place &= 2 ** (HALF - BITS) - 1
        found += self._row_places.take(place)
        planes = np.empty((4 if self._moves else 1, height * width), np.uint32)
        planes[0] = _words(np.append(pixels, np.uint8(0)))
        if self._moves:
            _fill_between(planes, width)
        # In the order of the pixels: each word's fourth byte is overwritten by the next pixel.
        _words(result)[:] = planes.ravel().take(found)


def augmentation(wanted: Augment, shape: tuple[int, ...], images: int, seed: int) -> Augmentation | None:
    """Return the augmentation, or None where nothing is to be changed; see `Augmentation`."""
    return None if wanted == Augment() else Augmentation(wanted, shape, images, seed)


def _reflected(halves: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return which half place of a line of `length` mirrors each half place: … 2, 1, 0, 1, 2 … and back."""
    there_and_back = max(1, 4 * (length - 1))
    place = halves % there_and_back
    return np.minimum(place, there_and_back - place)


def _words(pixels: Pixels) -> NDArray[np.uint32]:
    """Look at pixels, and one byte more, as one word a pixel: three bytes of its own, and the next pixel's first."""
    return np.ndarray(((pixels.size - 1) // RGB,), np.uint32, pixels, strides=(RGB,))


def _fill_between(planes: NDArray[np.uint32], width: int) -> None:
    """Given a plane of pixels and three more, write what lies between columns, between rows, and between both.

    What would lie behind the last column or row is not set: it is never looked up.
    """
    across, down = WORD, WORD * width
    pixels, columns, rows, both = planes.view(np.uint8)
    _mean(pixels[:-across], pixels[across:], columns[:-across])
    _mean(pixels[:-down], pixels[down:], rows[:-down])
    _mean(columns[:-down], columns[down:], both[:-down])


def _mean(one: Pixels, two: Pixels, into: Pixels) -> None:
    """Write the mean of each two bytes, rounded down, without leaving the byte."""
    differing = one ^ two
    differing >>= 1
    np.bitwise_and(one, two, out=into)
    into += differing


def _tone(lines: Pixels, gain: NDArray[np.float32], contrast: np.float32 | float) -> None:
    """Change the contrast of an image around its mean, then multiply each channel; (height, width * 3), in place."""
    mean = 0 if contrast == 1 else int(lines.sum(dtype=np.uint32)) / lines.size
    factor, term = np.empty((2, lines.shape[1] // RGB, RGB), np.float32)
    factor[:] = gain * contrast
    term[:] = gain * np.float32((1 - contrast) * mean) + np.float32(0.5)  # to round
    changed = lines.astype(np.float32)
    changed *= factor.ravel()
    changed += term.ravel()
    np.clip(changed, 0, 255, out=changed)
    np.copyto(lines, changed, casting="unsafe")
