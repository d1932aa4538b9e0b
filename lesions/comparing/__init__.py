"""Two experiments on one set of pictures: read through DVC, compared lesion by lesion, tested."""
