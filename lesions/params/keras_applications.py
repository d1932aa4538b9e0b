"""Which networks Keras Applications has, and the published ImageNet weights of each, pinned by a hash.

Addresses, MD5, and ConvNeXt's SHA-256 are those in Keras's own source (keras/src/applications, Keras 3.15; Apache
2.0). Of MobileNet and MobileNetV2 Keras publishes no hash at all: the SHA-256 of MobileNet at a quarter of its width
is this project's, taken from the file that Keras fetches. What has no hash here is not fetched.
"""

from typing import NamedTuple

_SERVER = "https://storage.googleapis.com/tensorflow/keras-applications/"
_SUFFIX = "_weights_tf_dim_ordering_tf_kernels_notop.h5"

WITH_WIDTH = ("MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small")
"""Networks whose layers can be made narrower or wider (Keras's `alpha`)."""


class WeightsFile(NamedTuple):
    """A file of ImageNet weights without the last layer.

    Attributes:
        folder: the address but for the name.
        name: the file's.
        md5: as Keras publishes it.
        sha256: as Keras publishes it, or our own.
        n_bytes: its length, where we had the file.
    """

    folder: str
    name: str
    md5: str | None = None
    sha256: str | None = None
    n_bytes: int | None = None


def _family(
    folder: str, names: dict[str, str], md5: dict[str, str], suffix: str = _SUFFIX
) -> dict[tuple[str, float], WeightsFile]:
    """Return the files of networks that lie in one folder.

    Args:
        folder: below the server.
        names: of each network, how its file's name begins.
        md5: of each network.
        suffix: how the files' names end.
    """
    return {(network, 1.0): WeightsFile(_SERVER + folder, names[network] + suffix, md5[network]) for network in names}


IMAGENET: dict[tuple[str, float], WeightsFile] = {
    ("MobileNet", 0.25): WeightsFile(
        _SERVER + "mobilenet/",
        "mobilenet_2_5_224_tf_no_top.h5",
        sha256="dbdb03ee2a22fd895301636cd328b234bb3a9952358f436d82f46b81e0d5b0bf",
        n_bytes=2_108_140,
    ),
    **{
        (f"MobileNetV3{kind.title()}", width): WeightsFile(
            _SERVER + "mobilenet_v3/", f"weights_mobilenet_v3_{kind}_224_{width}_float_no_top_v2.h5", md5
        )
        for kind, width, md5 in (
            ("large", 0.75, "40af19a13ebea4e2ee0c676887f69a2e"),
            ("large", 1.0, "07fb09a5933dd0c8eaafa16978110389"),
            ("small", 0.75, "ebdb5cc8e0b497cd13a7c275d475c819"),
            ("small", 1.0, "d3e8ec802a04aa4fc771ee12a9a9b836"),
        )
    },
    **_family(
        "resnet/",
        {
            name: name.lower()
            for name in ("ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2")
        },
        {
            "ResNet50": "4d473c1dd8becc155b73f8504c6f6626",
            "ResNet101": "88cf7a10940856eca736dc7b7e228a21",
            "ResNet152": "ee4c566cf9a93f14d82f913c2dc6dd0c",
            "ResNet50V2": "fac2f116257151a9d068a22e544a4917",
            "ResNet101V2": "c0ed64b8031c3730f411d2eb4eea35b5",
            "ResNet152V2": "ed17cf2e0169df9d443503ef94b23b33",
        },
    ),
    **_family(
        "densenet/",
        {name: name.lower() for name in ("DenseNet121", "DenseNet169", "DenseNet201")},
        {
            "DenseNet121": "30ee3e1110167f948a6b9946edeeb738",
            "DenseNet169": "b8c4d4c20dd625c148057b9ff1c1176b",
            "DenseNet201": "c13680b51ded0fb44dff2d8f86ac8bb1",
        },
    ),
    **_family("vgg16/", {"VGG16": "vgg16"}, {"VGG16": "6d6bbae143d832006294945121d1f1fc"}),
    **_family("vgg19/", {"VGG19": "vgg19"}, {"VGG19": "253f8cb515780f3b799900260a226db6"}),
    **_family("xception/", {"Xception": "xception"}, {"Xception": "b0042744bf5b25fce3cb969f33bebb97"}),
    **_family("inception_v3/", {"InceptionV3": "inception_v3"}, {"InceptionV3": "bcbd6486424b2319ff4ef7d526e38f63"}),
    **_family(
        "inception_resnet_v2/",
        {"InceptionResNetV2": "inception_resnet_v2"},
        {"InceptionResNetV2": "d19885ff4a710c122648d3b5c3b684e4"},
    ),
    **_family(
        "nasnet/",
        {"NASNetMobile": "NASNet-mobile", "NASNetLarge": "NASNet-large"},
        {"NASNetMobile": "1ed92395b5b598bdda52abe5c0dbfd63", "NASNetLarge": "d81d89dc07e6e56530c4e77faddd61b5"},
        "-no-top.h5",
    ),
    **{
        (f"EfficientNetB{number}", 1.0): WeightsFile(
            "https://storage.googleapis.com/keras-applications/", f"efficientnetb{number}_notop.h5", md5
        )
        for number, md5 in enumerate(
            (
                "50bc09e76180e00e4465e1a485ddc09d",
                "74c4e6b3e1f6a1eea24c589628592432",
                "111f8e2ac8aa800a7a99e3239f7bfb39",
                "af6d107764bb5b1abb91932881670226",
                "ebc24e6d6c33eaebbd558eafbeedf1ba",
                "38879255a25d3c92d5e44e04ae6cec6f",
                "9ecce42647a20130c1f39a5d4cb75743",
                "cbcfe4450ddf6f3ad90b1b398090fe4a",
            )
        )
    },
    **_family(
        "efficientnet_v2/",
        {f"EfficientNetV2{kind}": f"efficientnetv2-{kind.lower()}" for kind in ("B0", "B1", "B2", "B3", "S", "M", "L")},
        {
            "EfficientNetV2B0": "893217f2bb855e2983157299931e43ff",
            "EfficientNetV2B1": "0e80663031ca32d657f9caa404b6ec37",
            "EfficientNetV2B2": "1dfe2e7a5d45b6632553a8961ea609eb",
            "EfficientNetV2B3": "f6abf7b5849ac99a89b50dd3fd532856",
            "EfficientNetV2S": "af0682fb74e8c54910f2d4393339c070",
            "EfficientNetV2M": "1b8dc055df72dde80d614482840fe342",
            "EfficientNetV2L": "b0b66b5c863aef5b46e8608fe1711615",
        },
        "_notop.h5",
    ),
    **{
        (f"ConvNeXt{kind}", 1.0): WeightsFile(_SERVER + "convnext/", f"convnext_{kind.lower()}_notop.h5", sha256=sha256)
        for kind, sha256 in (
            ("Tiny", "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"),
            ("Small", "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab"),
            ("Base", "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45"),
            ("Large", "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd"),
            ("XLarge", "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05"),
        )
    },
}
"""The file of a network at a width."""

NETWORKS = sorted({*WITH_WIDTH, *(network for network, _ in IMAGENET)})
"""Every network of Keras Applications."""
