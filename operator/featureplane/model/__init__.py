"""What users declare: one file per kind, strict and frozen; YAML in, models or every problem out. Pure."""
