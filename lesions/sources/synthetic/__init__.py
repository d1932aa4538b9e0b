"""Source `synthetic`: images drawn by this project."""
