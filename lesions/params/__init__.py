"""The schema of params.yaml, one file a section, so that a new key reruns its own stage alone."""
