"""How a network learns, and how it goes on after an interruption."""
