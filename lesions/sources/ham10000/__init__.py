"""Source `ham10000`: the published archives and table."""
