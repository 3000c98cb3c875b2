"""The preview page: frames and class maps of a run, in any browser on the network."""
