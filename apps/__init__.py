"""What is built on the runtime and never imported by it: runs, the preview page, recordings, tiles, the doctor."""
