"""Networks: one file each, looked up by its name in params.yaml (train.architecture)."""
