"""On what a model's calibration and thresholds were fitted, where it was not on validation images of its own."""

from pydantic import BaseModel, ConfigDict

from lesions.core.sanitize import sanitize

IMAGES = "recalibration_images.csv"
"""The file of a model's folder with the images that `lesions recalibrate` fitted on."""


class Recalibration(BaseModel):
    """What `lesions recalibrate` fitted on.

    Attributes:
        collection: the name of its folder.
        images: how many.
        groups: lesions or patients, as far as the collection names them, of each class.
        positive_groups: of each task.
        negative_groups: of each task.
        images_sha256: of `IMAGES`.
        thresholds_sha256: of the thresholds.json that was there before.
    """

    model_config = ConfigDict(frozen=True)

    collection: str
    images: int
    groups: dict[str, int]
    positive_groups: dict[str, int]
    negative_groups: dict[str, int]
    images_sha256: str
    thresholds_sha256: str

    @property
    def warning(self) -> str:
        """Say on what the predictions rest, for whoever reads them."""
        positive = ", ".join(f"{number:,} of {task}" for task, number in self.positive_groups.items())
        rest = f"; positive lesions: {positive}" if positive else ""
        return (
            f"the model's calibration and thresholds were fitted again on {self.images:,} images of "
            f"{sanitize(self.collection)}{rest}. They hold for images like these, and the metrics of the model's card "
            "are of those before."
        )
