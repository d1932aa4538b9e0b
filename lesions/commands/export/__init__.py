"""`lesions export`: the model as ONNX and LiteRT files."""
