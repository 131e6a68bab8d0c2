"""The optimiser of both stages: Muon for the blocks' matrices, AdamW for all else.

Muon (Keller Jordan et al., 2024; in PyTorch) makes all directions of a matrix's momentum equally
long. The tower reads single characters after 400 steps as well as by AdamW alone after 700 or more.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

MUON_SHARE = 2.0
"""Muon's rate beside AdamW's; its steps are as long as AdamW's at the same rate (RMS)."""


class Optimiser:
    """Muon and AdamW as one; `rate(…)` sets both.

    Attributes:
        parameters: all that is trained.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, nn.Parameter]],
        matrices: tuple[str, ...],
        slow: tuple[str, ...] = (),
        decay: float = 0.02,
    ) -> None:
        """Args:
        named: parameters by name.
        matrices: parts of the names of matrices that Muon trains.
        slow: parts of the names of what learns five times slower.
        decay: weight decay, but for vectors and embeddings.
        """
        adam: dict[tuple[float, float], list[nn.Parameter]] = {}
        muon: list[nn.Parameter] = []
        for name, parameter in named:
            if parameter.ndim == 2 and any(word in name for word in matrices):
                muon.append(parameter)
                continue
            share = 0.2 if any(word in name for word in slow) else 1.0
            fades = 0.0 if parameter.ndim < 2 or "embed" in name else decay
            adam.setdefault((share, fades), []).append(parameter)
        groups: list[dict[str, Any]] = [
            {"params": chosen, "share": share, "weight_decay": fades}
            for (share, fades), chosen in adam.items()
        ]
        turned = [{"params": muon, "share": MUON_SHARE, "weight_decay": decay}]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True),
            torch.optim.Muon(turned, adjust_lr_fn="match_rms_adamw"),
        ]
        self.parameters = [*muon, *(p for chosen in adam.values() for p in chosen)]

    def rate(self, rate: float) -> None:
        """Set the learning rate."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate * group["share"]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad()

    def step(self, longest: float) -> None:
        """Take a step along gradients whose norm, all together, is at most `longest`."""
        nn.utils.clip_grad_norm_(self.parameters, longest)
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Both states, for a checkpoint."""
        return {type(part).__name__: part.state_dict() for part in self.parts}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        for part in self.parts:
            part.load_state_dict(saved[type(part).__name__])
