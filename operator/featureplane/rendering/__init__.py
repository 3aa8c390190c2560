"""Models to definitions (plain JSON) and to the files of a Feast repo. Pure: same models, same bytes."""
