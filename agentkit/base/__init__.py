"""What everything else stands on: text, JSON, session names, worker threads, terminal output, the log."""
