"""The methods inside lmms-eval, for accuracy of real models on public benchmarks.

`plugin/pyproject.toml` names the entry point, `register` answers it, `model` is the model that
lmms-eval sees. `shapes_world/` and `commands` make a local task of the embedded world, to try it
offline.
lmms-eval itself is needed by `register` and `model` only.
"""
