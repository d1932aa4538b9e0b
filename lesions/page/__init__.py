"""A local web page on which pictures are dropped, and what it may be sent."""
