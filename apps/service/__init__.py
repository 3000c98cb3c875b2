"""The services of a run as a process: readiness, logs, and the board's temperature."""
