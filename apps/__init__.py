"""Applications of the runtime, which never imports them: runs, the preview page, recordings, tiles, the doctor."""
