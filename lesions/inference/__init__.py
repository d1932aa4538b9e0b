"""A trained network on arrays of images; change it and predict and what follows rerun."""
