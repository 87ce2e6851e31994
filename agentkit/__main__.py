"""Make ``python -m agentkit`` the same as the ``agentkit`` command."""

from agentkit.cli.app import main

if __name__ == "__main__":
    main()
