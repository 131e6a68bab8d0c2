"""The entry point that lmms-eval looks for: which model names there are and where they live."""

from typing import Any


def manifests() -> Any:
    """The model `hired`; its class is imported when a run names it."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest("hired", simple_class_path="hired.lmms.model.HiredLmms")
