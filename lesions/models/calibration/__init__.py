"""Post-processing fitted on train and validation: metadata prior, probability calibration, thresholds, OOD score."""
