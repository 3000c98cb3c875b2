"""The proof on a GPU: everything that edgeseg claims of TensorRT and CUDA, tried out by one command."""
