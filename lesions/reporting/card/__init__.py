"""The model card; change it and report reruns."""
