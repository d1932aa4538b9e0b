"""Classifiers of dermoscopy images: what the stages and the commands share.

    from lesions import Classifier

is for programs that ask a trained model; see docs/classify.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lesions.classifier import Classifier

__all__ = ["Classifier"]


def __getattr__(name: str) -> Any:
    """Import the classifier when it is first used: TensorFlow takes seconds, and most of what is here needs none."""
    if name == "Classifier":
        from lesions.classifier import Classifier

        return Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
