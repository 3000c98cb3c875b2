"""The proof on a GPU: one command that tries everything that edgeseg claims about TensorRT and CUDA."""
