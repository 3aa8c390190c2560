"""One file a revision, in order. A revision only adds, so that the release before it goes on working."""
