"""Model files in; each importer ends in the same kind of ONNX graph."""
