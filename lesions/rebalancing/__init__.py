"""Augmented copies for the rare classes: which, how many, and what happens to them."""
