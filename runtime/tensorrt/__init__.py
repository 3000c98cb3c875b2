"""TensorRT engines: finding TensorRT, building an engine from a bundle's graph, and the cache of one's own engines.

All of it works with the core install and TensorRT alone, for engines are built on the device that runs them,
where there is neither PyTorch nor onnx.
"""
