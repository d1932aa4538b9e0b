"""What `lesions COMMAND` runs and no stage needs; change it and no stage reruns."""
