"""What every stage shares; change it and all stages rerun."""
