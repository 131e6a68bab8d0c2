"""The entry point of `vllm.general_plugins`: makes two architectures known to vLLM.

A server uses one of them only when its `--hf-overrides` names it; without that nothing changes.
"""

ARCHITECTURES = {
    "llava_next": "HiredLlavaNextForConditionalGeneration",
    "llava": "HiredLlavaForConditionalGeneration",
}


def register() -> None:
    """Called by vLLM in each of its processes, maybe more than once; imports no model code."""
    from vllm import ModelRegistry

    for name in ARCHITECTURES.values():
        if name not in ModelRegistry.get_supported_archs():
            ModelRegistry.register_model(name, f"hired.serving.model:{name}")
