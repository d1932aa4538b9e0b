"""Why the network says what it says: heat maps, whether to trust them, a gallery, and a map of the pictures."""
