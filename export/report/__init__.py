"""Verification and export for people: a page, images, tables on a terminal."""
