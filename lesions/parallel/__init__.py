"""Many small pieces of work on all cores or a cluster, in order, with progress."""
