"""From bytes to pixels on all cores; change it and what decodes images reruns."""
