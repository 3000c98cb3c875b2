"""Images over HTTP: Motion JPEG, its connection and its stamps."""
