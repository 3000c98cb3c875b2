"""``edgeseg doctor``: a report on this machine, with what is missing and the commands that install it."""
