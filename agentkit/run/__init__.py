"""Running one turn: connects the loop with the model, the tools, memory and people."""
