"""Tests: behaviour of each module on small data, properties, and the pipeline end to end."""
