"""Source `folder`: your own images and table."""
