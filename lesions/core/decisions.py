"""What an image's diagnosis can be chosen for, as `calibrate.optimise` and a model's thresholds.json name it."""

from typing import Literal

Optimise = Literal["uncalibrated_probability", "accuracy", "balanced_accuracy", "expected_cost"]
"""uncalibrated_probability: the class with the largest one."""
