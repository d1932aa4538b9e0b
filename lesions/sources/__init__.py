"""Where pictures come from: one file a source, looked up by its name in params.yaml (download.source)."""
