"""The runtime: bundles, backends, decode, sources, pipeline and sinks. It needs neither torch nor onnx."""
