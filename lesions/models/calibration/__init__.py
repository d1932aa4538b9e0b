"""Post-processing fitted on train and validation: metadata prior, temperature, thresholds, OOD score."""
