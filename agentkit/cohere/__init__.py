"""Cohere's v2 chat: requests, responses, streams, retries and settings."""
