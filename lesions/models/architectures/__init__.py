"""One network a file, by its name in `train.architecture`; a new file reruns nothing."""
