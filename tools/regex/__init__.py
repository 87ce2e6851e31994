"""The regex extractor: exact codes out of a text."""
