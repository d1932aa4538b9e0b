"""`lesions validate`: the model judged on another collection."""
