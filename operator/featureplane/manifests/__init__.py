"""Models and settings to the manifests of a project's children; pure, one file for each kind of child."""
