"""From predictions to metrics with intervals, without TensorFlow; change it and evaluate and report rerun."""
