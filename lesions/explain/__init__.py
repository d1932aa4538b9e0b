"""Grad-CAM, its sanity check, the gallery and the embedding; change it and explain and report rerun."""
