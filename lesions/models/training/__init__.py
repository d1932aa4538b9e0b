"""How a network is trained; change it and train and what follows rerun."""
