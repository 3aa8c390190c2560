"""What is registered, as far as serving needs it: read from Feast's tables, followed as it changes."""
