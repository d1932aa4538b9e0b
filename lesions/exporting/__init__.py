"""A model for other programs: ONNX and LiteRT files that answer as Keras does."""
