"""The rows of single entities: what their source has had, what is served, and what is done to it by hand."""
