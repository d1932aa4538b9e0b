"""A trained model before another collection's pictures: what it has seen of them, and how good it is on the rest."""
