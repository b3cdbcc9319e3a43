"""Finding and joining: reset counting, access point, set-up portal."""
