"""TensorRT engines: finding TensorRT, building an engine from a bundle's graph, and the cache of one's own engines.

All of it needs only the core install and TensorRT, because engines are built on the device that runs them, which has
neither PyTorch nor onnx.
"""
