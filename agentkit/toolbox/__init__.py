"""Calling LangChain tools so that nothing they do ends a run."""
