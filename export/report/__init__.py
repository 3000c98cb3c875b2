"""The reports of verification and export: a page, images, tables on a terminal."""
