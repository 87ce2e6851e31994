"""Turns memory objects into chat messages, within a budget."""
