"""Any chat model as one function: messages in, a `Reply` out."""
