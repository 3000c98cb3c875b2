"""Data sets of other forms, read so that they can be written in VOC layout: a module a form."""
