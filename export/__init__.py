"""The export from PyTorch to ONNX to a verified bundle."""
