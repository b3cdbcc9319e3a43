"""The pages, the JSON API and the live stream on port 6789."""
