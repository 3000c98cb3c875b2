"""The basis of every part: errors, labels, safe reading and writing of files, images, text for a terminal."""
