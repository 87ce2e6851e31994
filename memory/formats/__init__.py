"""The formats of tool results: JSON, Python, YAML, XML, tables, keyed lines."""
