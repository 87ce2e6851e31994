"""What the result of a tool is written in: JSON, Python, YAML, XML, tables, keyed lines."""
