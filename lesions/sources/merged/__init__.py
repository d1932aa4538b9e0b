"""Source `merged`: several collections, each of a source of its own, as one data set."""
