"""`lesions page`: the classifier as a local web page."""
