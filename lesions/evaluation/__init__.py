"""From predictions to figures: definitions, intervals, clinical questions, calibration and subgroups."""
