"""The networks in PyTorch: architectures, their registry, checkpoints, and the weights that ship."""
