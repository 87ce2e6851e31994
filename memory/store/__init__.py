"""The database of turns, objects and the search index; only this folder contains SQL."""
