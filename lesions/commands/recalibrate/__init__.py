"""A model for images from elsewhere: its calibration and thresholds are fitted again, its network stays."""
