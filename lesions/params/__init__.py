"""The sections of params.yaml, a typed model each.

One file a section, so that a new key in one reruns only its own stage.
"""
