"""Tests of lesions/core."""
