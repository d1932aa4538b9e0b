"""How a picture becomes pixels."""
