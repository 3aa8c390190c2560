"""Who may ask the feature server, where its project wants to know."""
