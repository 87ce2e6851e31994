"""A turn becomes a memory object, without a model."""
