"""The memory behind LangChain's own interfaces."""
