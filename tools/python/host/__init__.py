"""Your side of the wall: starts, feeds, watches and ends the processes that run the code."""
