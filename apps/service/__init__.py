"""What makes a run a good process: readiness, logs, configuration, and the board's temperature."""
