"""The health of results: frames that show nothing, and results that are too old to act on."""
