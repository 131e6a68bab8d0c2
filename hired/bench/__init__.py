"""`python -m hired bench`: methods × budgets × batches × prompts × models, timed and recorded.

A sweep is cut into rounds: one model, batch size and prompt length, the baseline and every lane
once, one after the other. A round is one line of the record, so that a speed-up never compares
runs of two sessions, and what is recorded is never measured again.
"""
