"""Rows from the sources to the online store: windows, runs and their history. Knows neither Kubernetes nor the CLI."""
