"""The ReAct loop and its rules: no IO and no clock of its own."""
