"""`lesions classify`: diagnoses of image files on the terminal, as CSV or JSON."""
