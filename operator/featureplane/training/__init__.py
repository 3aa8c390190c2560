"""Training data: features as they were known at the moments of a file's rows, and as they are online."""
