"""A BMS on a pseudo-terminal."""
