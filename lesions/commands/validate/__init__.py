"""`lesions validate`: evaluate a model on another collection."""
