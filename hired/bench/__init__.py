"""Speed and accuracy of the methods, measured, recorded and shown.

`python -m hired bench` times methods × budgets × batches × prompts × models. It is cut into rounds:
one model, batch size and prompt length, the baseline and every lane once, one after the other.
`python -m hired eval` counts right answers on the embedded world; one tower pass per poster serves
every method and budget. A round is one line of the record, so that a speed-up never compares runs
of two sessions, and what is recorded is never measured again.
"""
