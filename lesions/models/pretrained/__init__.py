"""Reading files of pretrained weights; change it and weights reruns."""
