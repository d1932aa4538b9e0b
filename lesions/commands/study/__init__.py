"""`lesions study`: a list of experiments, run and reported on."""
