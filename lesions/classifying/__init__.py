"""A model in use: pictures in, answers out, by the thresholds that were chosen for it."""
