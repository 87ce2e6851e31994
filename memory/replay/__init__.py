"""Memory objects become chat messages, within a budget."""
