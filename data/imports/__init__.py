"""The import of data sets in other forms, to write them in VOC layout: one module for each form."""
