"""Every variant against the PyTorch reference, and the gates that refuse it."""
