"""What calibrate, evaluate and explain share: tables of predictions, tasks, thresholds; change it and these rerun."""
