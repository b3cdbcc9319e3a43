"""Conversations with batteries."""
