"""What verification and export show: a page, images, tables on a terminal."""
