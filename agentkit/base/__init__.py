"""The base of all other packages: text, JSON, session names, worker threads, terminal output, the log."""
