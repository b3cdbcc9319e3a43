"""SmartBMS Bridge: reads a battery management system over a serial line and serves what it says."""

__version__ = "0.1.0"
