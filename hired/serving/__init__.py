"""HiRED past one machine: a vLLM plug-in, and a client of two OpenAI-compatible servers.

`register`, `processor`, `model` and `clip_adapter` run inside vLLM; `client` and `remote` know only
HTTP.
"""
