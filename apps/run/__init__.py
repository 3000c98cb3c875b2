"""``edgeseg run``: the request and the session."""
