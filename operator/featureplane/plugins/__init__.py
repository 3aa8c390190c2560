"""Classes that Feast loads by their dotted path from feature_store.yaml. Nothing of ours imports them."""
