"""The status page: one document, its style and its script, as they lie here. They carry no data."""
