"""Lets torchvision be imported beside a CPU build of torch that its wheel was not made for.

vLLM's LLaVA imports torchvision, whose operators then do not exist; naming them is enough, since
none of them is called. For `make serve-test` only: a machine with matching wheels needs nothing.
"""

import sys
from importlib.abc import MetaPathFinder

OPERATORS = ("nms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d",
             "qnms", "qroi_align")  # fmt: skip


class Namer(MetaPathFinder):
    """Finds nothing; names the operators when torchvision is first looked for."""

    library = None  # its definitions go when it goes

    def find_spec(self, name, path=None, target=None):
        if name == "torchvision" and Namer.library is None:
            import torch

            if torch.version.cuda is not None:
                return
            Namer.library = torch.library.Library("torchvision", "DEF")
            for operator in OPERATORS:
                for each in (operator, f"_{operator}_backward"):
                    Namer.library.define(f"{each}(Tensor x) -> Tensor")


sys.meta_path.insert(0, Namer())
