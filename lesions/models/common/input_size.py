"""How small an image may be for a network."""

from lesions.core.errors import UserError


def require_px(shape: tuple[int, int, int], least: int, network: str) -> None:
    """Stop where an image is too small for a network.

    Args:
        shape: of an image: height, width, 3.
        least: the smallest height and width that the network takes, in pixels.
        network: what it is called.

    Raises:
        UserError: names the least size.
    """
    height, width, _ = shape
    if min(height, width) < least:
        raise UserError(
            f"The network {network} needs images of at least {least} pixels a side; these have {height}×{width}: "
            f"set prepare.image_size in params.yaml to {least} or more, or choose another train.architecture."
        )
