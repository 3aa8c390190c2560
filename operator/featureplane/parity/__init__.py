"""Whether what is served is what the source says: entities are sampled, read from both, and compared."""
