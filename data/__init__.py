"""Labelled images: VOC layout, label maps, augmentation, metrics, and the synthetic aerial world."""
