"""The operator: custom resources to the registry, children and statuses."""
