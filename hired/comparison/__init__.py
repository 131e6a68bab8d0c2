"""Several methods on one prompt, each in a lane: run, previewed, drawn."""
