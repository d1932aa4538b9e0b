"""Where images come from, one folder a source, by its name in `download.source`; a new folder reruns nothing."""
