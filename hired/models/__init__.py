"""Models and the machine that holds them: which there are, what fits, loading, random weights."""
