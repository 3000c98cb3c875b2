"""``edgeseg doctor``: what this machine has for edgeseg, what is missing, and the command that mends it."""
