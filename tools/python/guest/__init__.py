"""Inside the wall: standard library only, nothing of agentkit. Only this folder is bound into the sandbox."""
