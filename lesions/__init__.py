"""Classifiers of dermoscopy pictures: what the stages and the commands share."""
