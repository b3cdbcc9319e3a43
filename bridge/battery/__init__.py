"""What a battery is: pure data and derivations."""
