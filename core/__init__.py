"""What every part speaks in: errors, labels, files that are read and written safely, images, words for a terminal."""
