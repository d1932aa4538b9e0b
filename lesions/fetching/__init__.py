"""Getting files and metadata from the web, whole and verified."""
