"""What the stage clean looks for: what can be used, what belongs together, and what to know before training."""
