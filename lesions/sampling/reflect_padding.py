"""Images that Pillow transforms as if they were reflected at their edges."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge in pixels; the last two are the first ones outside."""

MAX_EXTENT = 8
"""Largest extent of an image with its reflections, in its own widths or heights: memory is bounded."""


class ReflectPadded(Image.Image):
    """An RGB image that Pillow rotates, shears, skews, shrinks and crops without black corners.

    Where Pillow's `transform` and `crop` reach beyond an image they fill in black; here they find it reflected at its
    edges.

    Args:
        image: a plain RGB image. The pixels are shared.
    """

    def __init__(self, image: Image.Image) -> None:
        super().__init__()
        self.im = image.im
        self._mode = image.mode
        self._size = image.size

    def crop(self, box: tuple[float, float, float, float] | None = None) -> Image.Image:
        """Cut out a part, which may reach beyond the edge.

        Raises:
            ValueError: it is empty, as where a narrow image is sheared by more than its width.
        """
        return ReflectPadded(_cut(self, _whole(box or (0, 0, *self.size))))

    def resize(self, *arguments: Any, **named: Any) -> Image.Image:
        """Resize; the result goes on beyond its edge, too."""
        return ReflectPadded(super().resize(*arguments, **named))

    def transform(
        self,
        size: tuple[int, int],
        method: Any,
        data: Sequence[Any] | None = None,
        resample: int = Image.Resampling.NEAREST,
        fill: int = 1,
        fillcolor: float | tuple[float, ...] | str | None = None,
    ) -> Image.Image:
        """Transform; with a `fillcolor`, that stands where the image ends.

        Raises:
            ValueError: the transformation looks too far beyond the edge; see `MAX_EXTENT`.
        """
        if fillcolor is not None or data is None:
            return super().transform(size, method, data, resample, fill, fillcolor)
        if method == Image.Transform.MESH:
            return ReflectPadded(_mesh(self, size, data, resample))
        if method == Image.Transform.AFFINE:
            return _LazyAffine(self, size, data, resample)
        # Augmentor's perspectives enlarge, and never look beyond the edge.
        return ReflectPadded(super().transform(size, method, data, resample, fill))


class _LazyAffine(ReflectPadded):
    """An image after an affine transformation, whose pixels are not computed before they are needed.

    Augmentor turns or shears an image, cuts out the middle, and enlarges that. Here the three become one
    transformation, so what is cut away is never computed, and the rest is interpolated once, not twice. `data` are the
    coefficients a to f: what stands at (x, y) comes from (ax + by + c, dx + ey + f).
    """

    def __init__(self, source: Image.Image, size: tuple[int, int], data: Sequence[float], resample: int) -> None:
        Image.Image.__init__(self)
        self._mode = source.mode
        self._size = size
        self._source = source
        self._data = data
        self._resample = resample

    def load(self) -> Any:
        """Compute the pixels; Pillow calls this before it looks at them."""
        if self._im is None:
            self.im = _affine(self._source, self._size, self._data, self._resample).im
        return super().load()

    def crop(self, box: tuple[float, float, float, float] | None = None) -> Image.Image:
        """See `ReflectPadded`."""
        left, upper, right, lower = _whole(box or (0, 0, *self.size))
        a, b, c, d, e, f = self._data
        moved = (a, b, a * left + b * upper + c, d, e, d * left + e * upper + f)
        return _LazyAffine(self._source, (right - left, lower - upper), moved, self._resample)

    def resize(self, size: Any, resample: int | None = None, *arguments: Any, **named: Any) -> Image.Image:
        """See `ReflectPadded`."""
        across, down = self.width / size[0], self.height / size[1]
        if across > 1 or down > 1 or arguments or named:
            return super().resize(size, resample, *arguments, **named)  # which averages over what it shrinks
        a, b, c, d, e, f = self._data
        enlarged = (a * across, b * down, c, d * across, e * down, f)
        return _LazyAffine(self._source, tuple(size), enlarged, self._resample)


def _whole(box: tuple[float, float, float, float]) -> Box:
    """Return a box in whole pixels, rounded as Pillow does."""
    left, upper, right, lower = map(round, box)
    if right <= left or lower <= upper:
        raise ValueError("nothing is left of the image")
    return left, upper, right, lower


def _cut(image: Image.Image, box: Box) -> Image.Image:
    """Return the pixels in a box, reflected where that reaches beyond the image."""
    if box == (0, 0, *image.size):
        return image
    left, upper, right, lower = box
    if left >= 0 and upper >= 0 and right <= image.width and lower <= image.height:
        return Image.Image.crop(image, box)
    rows, columns = _reflected(upper, lower, image.height), _reflected(left, right, image.width)
    return Image.fromarray(np.asarray(image)[rows][:, columns])


def _reflected(start: int, stop: int, length: int) -> NDArray[np.int64]:
    """Return, for places on a line, which of the places 0 to `length` - 1 mirrors them: … 2, 1, 0, 1, 2 … and back."""
    there_and_back = max(1, 2 * length - 2)
    place = np.arange(start, stop) % there_and_back
    return np.minimum(place, there_and_back - place)


def _affine(image: Image.Image, size: tuple[int, int], data: Sequence[float], resample: int) -> Image.Image:
    """Return a transformed image; see `_LazyAffine`."""
    a, b, c, d, e, f = data
    # The middles of the pixels in the corners: the rest comes from between them.
    corners = [(x, y) for x in (0.5, size[0] - 0.5) for y in (0.5, size[1] - 0.5)]
    reach = _reach(image.size, [a * x + b * y + c for x, y in corners], [d * x + e * y + f for x, y in corners])
    moved = (a, b, c - reach[0], d, e, f - reach[1])
    return Image.Image.transform(_cut(image, reach), size, Image.Transform.AFFINE, moved, resample)


def _mesh(image: Image.Image, size: tuple[int, int], data: Sequence[Any], resample: int) -> Image.Image:
    """Return an image made of pieces: each is a box of it, and x, y of the four corners where its pixels come from."""
    corners = [quad for _, quad in data]
    left, upper, *_ = reach = _reach(
        image.size, [x for quad in corners for x in quad[::2]], [y for quad in corners for y in quad[1::2]]
    )
    moved = [(box, [place - (left, upper)[i % 2] for i, place in enumerate(quad)]) for box, quad in data]
    return Image.Image.transform(_cut(image, reach), size, Image.Transform.MESH, moved, resample)


def _reach(size: tuple[int, int], x: Sequence[float], y: Sequence[float]) -> Box:
    """Return the smallest box that holds an image of that size and the given places."""
    width, height = size
    left, upper = min(0, math.floor(min(x))), min(0, math.floor(min(y)))
    right, lower = max(width, math.floor(max(x)) + 1), max(height, math.floor(max(y)) + 1)
    if right - left > MAX_EXTENT * width or lower - upper > MAX_EXTENT * height:
        raise ValueError(f"it looks more than {MAX_EXTENT} lengths beyond the image's edge")
    return left, upper, right, lower
