"""The turns of all sessions in a database; the only folder that knows SQL."""
