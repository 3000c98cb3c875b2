"""The ONNX graph: traced, folded, and written in each precision."""
