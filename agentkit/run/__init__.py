"""One turn under way: here the loop meets the model, the tools, memory and people."""
