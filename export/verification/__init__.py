"""Verification: every variant compared with the PyTorch reference, and the gates that may refuse it."""
