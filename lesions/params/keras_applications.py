"""Which networks Keras Applications has, and the published ImageNet weights of each, pinned by a hash.

Addresses, MD5, and ConvNeXt's SHA-256 are those in Keras's own source (keras/src/applications, Keras 3.15; Apache
2.0). Of MobileNet and MobileNetV2 Keras publishes no hash at all: the SHA-256 of MobileNet at a quarter of its width
is this project's, taken from the file that Keras fetches. What has no hash here is not fetched.
"""

from typing import NamedTuple

_SERVER = "https://storage.googleapis.com/"
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


_FILES = """
MobileNet 0.25 mobilenet/mobilenet_2_5_224_tf_no_top.h5 dbdb03ee2a22fd895301636cd328b234bb3a9952358f436d82f46b81e0d5b0bf
MobileNetV3Large 0.75 mobilenet_v3/weights_mobilenet_v3_large_224_%_float_no_top_v2.h5 40af19a13ebea4e2ee0c676887f69a2e
MobileNetV3Large 1.0 mobilenet_v3/weights_mobilenet_v3_large_224_%_float_no_top_v2.h5 07fb09a5933dd0c8eaafa16978110389
MobileNetV3Small 0.75 mobilenet_v3/weights_mobilenet_v3_small_224_%_float_no_top_v2.h5 ebdb5cc8e0b497cd13a7c275d475c819
MobileNetV3Small 1.0 mobilenet_v3/weights_mobilenet_v3_small_224_%_float_no_top_v2.h5 d3e8ec802a04aa4fc771ee12a9a9b836
ResNet50 1.0 resnet/resnet50* 4d473c1dd8becc155b73f8504c6f6626
ResNet101 1.0 resnet/resnet101* 88cf7a10940856eca736dc7b7e228a21
ResNet152 1.0 resnet/resnet152* ee4c566cf9a93f14d82f913c2dc6dd0c
ResNet50V2 1.0 resnet/resnet50v2* fac2f116257151a9d068a22e544a4917
ResNet101V2 1.0 resnet/resnet101v2* c0ed64b8031c3730f411d2eb4eea35b5
ResNet152V2 1.0 resnet/resnet152v2* ed17cf2e0169df9d443503ef94b23b33
DenseNet121 1.0 densenet/densenet121* 30ee3e1110167f948a6b9946edeeb738
DenseNet169 1.0 densenet/densenet169* b8c4d4c20dd625c148057b9ff1c1176b
DenseNet201 1.0 densenet/densenet201* c13680b51ded0fb44dff2d8f86ac8bb1
VGG16 1.0 vgg16/vgg16* 6d6bbae143d832006294945121d1f1fc
VGG19 1.0 vgg19/vgg19* 253f8cb515780f3b799900260a226db6
Xception 1.0 xception/xception* b0042744bf5b25fce3cb969f33bebb97
InceptionV3 1.0 inception_v3/inception_v3* bcbd6486424b2319ff4ef7d526e38f63
InceptionResNetV2 1.0 inception_resnet_v2/inception_resnet_v2* d19885ff4a710c122648d3b5c3b684e4
NASNetMobile 1.0 nasnet/NASNet-mobile-no-top.h5 1ed92395b5b598bdda52abe5c0dbfd63
NASNetLarge 1.0 nasnet/NASNet-large-no-top.h5 d81d89dc07e6e56530c4e77faddd61b5
EfficientNetB0 1.0 efficientnetb0_notop.h5 50bc09e76180e00e4465e1a485ddc09d
EfficientNetB1 1.0 efficientnetb1_notop.h5 74c4e6b3e1f6a1eea24c589628592432
EfficientNetB2 1.0 efficientnetb2_notop.h5 111f8e2ac8aa800a7a99e3239f7bfb39
EfficientNetB3 1.0 efficientnetb3_notop.h5 af6d107764bb5b1abb91932881670226
EfficientNetB4 1.0 efficientnetb4_notop.h5 ebc24e6d6c33eaebbd558eafbeedf1ba
EfficientNetB5 1.0 efficientnetb5_notop.h5 38879255a25d3c92d5e44e04ae6cec6f
EfficientNetB6 1.0 efficientnetb6_notop.h5 9ecce42647a20130c1f39a5d4cb75743
EfficientNetB7 1.0 efficientnetb7_notop.h5 cbcfe4450ddf6f3ad90b1b398090fe4a
EfficientNetV2B0 1.0 efficientnet_v2/efficientnetv2-b0_notop.h5 893217f2bb855e2983157299931e43ff
EfficientNetV2B1 1.0 efficientnet_v2/efficientnetv2-b1_notop.h5 0e80663031ca32d657f9caa404b6ec37
EfficientNetV2B2 1.0 efficientnet_v2/efficientnetv2-b2_notop.h5 1dfe2e7a5d45b6632553a8961ea609eb
EfficientNetV2B3 1.0 efficientnet_v2/efficientnetv2-b3_notop.h5 f6abf7b5849ac99a89b50dd3fd532856
EfficientNetV2S 1.0 efficientnet_v2/efficientnetv2-s_notop.h5 af0682fb74e8c54910f2d4393339c070
EfficientNetV2M 1.0 efficientnet_v2/efficientnetv2-m_notop.h5 1b8dc055df72dde80d614482840fe342
EfficientNetV2L 1.0 efficientnet_v2/efficientnetv2-l_notop.h5 b0b66b5c863aef5b46e8608fe1711615
ConvNeXtTiny 1.0 convnext/convnext_tiny_notop.h5 d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1
ConvNeXtSmall 1.0 convnext/convnext_small_notop.h5 6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab
ConvNeXtBase 1.0 convnext/convnext_base_notop.h5 40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45
ConvNeXtLarge 1.0 convnext/convnext_large_notop.h5 96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd
ConvNeXtXLarge 1.0 convnext/convnext_xlarge_notop.h5 de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05
"""
"""One network per line: its name, its width, its file, and the MD5 or SHA-256 of it.

`*` stands for `_SUFFIX`, `%` for the width; files without a folder lie on the server in another place.
"""

_N_BYTES = {("MobileNet", 0.25): 2_108_140}


def _read(line: str) -> tuple[tuple[str, float], WeightsFile]:
    """Read one line of `_FILES`."""
    network, width, path, digest = line.split()
    folder, _, name = path.replace("*", _SUFFIX).replace("%", width).rpartition("/")
    address = f"{_SERVER}tensorflow/keras-applications/{folder}/" if folder else f"{_SERVER}keras-applications/"
    hashes = {"md5" if len(digest) == 32 else "sha256": digest}
    key = (network, float(width))
    return key, WeightsFile(address, name, **hashes, n_bytes=_N_BYTES.get(key))


IMAGENET = dict(map(_read, _FILES.split("\n")[1:-1]))
"""The file of a network at a width."""

NETWORKS = sorted({*WITH_WIDTH, *(network for network, _ in IMAGENET)})
"""Every network of Keras Applications."""
