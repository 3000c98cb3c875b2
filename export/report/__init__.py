"""Verification and export as people read them: a page, images, tables on a terminal."""
