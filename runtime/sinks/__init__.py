"""Where results go: a video, masks, a window."""
