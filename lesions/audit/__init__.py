"""Which images are usable and which belong together; change it and clean reruns."""
