"""Images that show no lesion: the same each time, of every kind, each with a name of its own."""

import numpy as np

from lesions.images import ood_images


def test_images_are_the_same_each_time() -> None:
    generated = list(ood_images.generated(32, 40, 1))
    assert {kind for _, kind, _ in generated} == set(ood_images.KINDS)
    assert all(pixels.shape == (32, 40, 3) and pixels.dtype == np.uint8 for *_, pixels in generated)
    again = [pixels.tobytes() for *_, pixels in ood_images.generated(32, 40, 1)]
    assert [pixels.tobytes() for *_, pixels in generated] == again
    photographs = list(ood_images.shipped())
    assert {kind for _, kind, _ in photographs} == {"china", "flower", "grace_hopper"}
    names = [name for name, *_ in (*generated, *photographs)]
    assert len(set(names)) == len(names)
