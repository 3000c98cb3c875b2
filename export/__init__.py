"""PyTorch to ONNX to a verified bundle."""
