"""One file per output; none imports another."""
