"""Landing spots on the aerial world, whose ground and poses are known: how many are found, and how many unsafe."""
