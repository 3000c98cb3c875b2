"""Video files: decoded, placed on their own time line, and their holes counted."""
