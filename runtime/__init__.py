"""The lean part that flies: bundles, backends, decode, sources, pipeline, sinks. No torch, no onnx."""
