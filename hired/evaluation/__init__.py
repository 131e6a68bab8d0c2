"""`python -m hired eval`: accuracy of the methods on the embedded world, recorded.

One tower pass per poster serves every method and budget; what was answered is never asked again.
`lanes` says what is measured, `measure` answers, `summary` counts, `tables` and `figures` show.
"""
