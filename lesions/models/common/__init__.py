"""What train, predict and explain share; change it and all three rerun."""
