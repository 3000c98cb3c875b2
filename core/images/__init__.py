"""Images in files and streams, read by one reader: whole and of bounded size, or not at all."""
