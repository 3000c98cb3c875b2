"""Free space judged on labelled frames of real streets."""
