"""A device that is not there: tensors that compute on the CPU and say they are elsewhere.

They refuse to be mixed with the CPU's, as an accelerator's do, and what makes the host wait is
counted. They call themselves `meta`, the one device every torch knows beside the CPU, but hold
values. Used as `with Emulated() as device: model = device.take(model)`.
"""

import copy
from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

aten = torch.ops.aten
PLACE = torch.device("meta")
READS = (aten._local_scalar_dense.default, aten.nonzero.default, aten.equal.default,
         aten.masked_select.default, aten._unique2.default)  # fmt: skip
INDEXED = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default,
           aten._index_put_impl_.default, aten._unsafe_index.Tensor)  # fmt: skip


class There(torch.Tensor):
    """A tensor on the emulated device; `held` is what it is made of."""

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "There":
        """Around a tensor of the CPU."""
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, layout=held.layout, device=PLACE,
        )  # fmt: skip
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl
    is_meta = False  # that would mean that it holds nothing

    def __getitem__(self, index: Any) -> torch.Tensor:
        """Torch would make a list an empty `meta` tensor."""
        return torch.Tensor.__getitem__(self, _as_tensors(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        torch.Tensor.__setitem__(self, _as_tensors(index), value)

    def __repr__(self) -> str:
        return f"There({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {}, Counter())


def _as_tensors(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_as_tensors(part) for part in index)
    if isinstance(index, list):
        return torch.tensor(index, dtype=None if index else torch.long).to(PLACE)
    return index


def _run(func: Any, args: tuple, kwargs: dict, waits: Counter) -> Any:
    flat = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
    there = [x for x in flat if isinstance(x, There)]
    here = [x for x in flat if not isinstance(x, There) and x.dim() > 0]
    if any(x.device.type == PLACE.type for x in here):
        raise RuntimeError(f"{func}: a tensor of torch's own meta device, which holds no values")
    asked = kwargs.get("device")
    to = bool(there) if asked is None else torch.device(asked).type == PLACE.type
    if func in READS and there:
        waits["reads"] += 1
    if func in INDEXED:
        to = isinstance(args[0], There)
        for index in (x for x in args[1] if x is not None):
            if isinstance(index, There) and not to:
                raise RuntimeError(f"{func}: indices on the device, the tensor on the CPU")
            waits["copies"] += to and not isinstance(index, There)
            waits["reads"] += to and index.dtype in (torch.bool, torch.uint8)
        if len(args) > 2 and isinstance(args[2], torch.Tensor) and args[2].dim() > 0:
            _refuse(func, [args[0], args[2]])
    elif func is aten.copy_.default:
        to = isinstance(args[0], There)
        waits["copies"] += to != isinstance(args[1], There)
    elif func is aten._to_copy.default:
        waits["reads"] += bool(there) and not to
        waits["copies"] += to and not there
    elif there and here:
        _refuse(func, [*there, *here])
    arguments = tree_map(lambda x: x.held if isinstance(x, There) else x, (args, kwargs))
    if arguments[1].get("device") is not None and to:
        arguments[1]["device"] = torch.device("cpu")
    out = func(*arguments[0], **arguments[1])
    same = {id(x.held): x for x in there}  # what works in place gives back its own argument
    return tree_map(
        lambda x: same.get(id(x), There(x) if to else x) if isinstance(x, torch.Tensor) else x, out
    )


def _refuse(func: Any, tensors: list[torch.Tensor]) -> None:
    kinds = {isinstance(one, There) for one in tensors}
    if len(kinds) > 1:
        shapes = [(type(one).__name__, tuple(one.shape)) for one in tensors]
        raise RuntimeError(f"{func}: all tensors have to be on the same device, got {shapes}")


class Emulated(TorchDispatchMode):
    """While it is entered, `device="meta"` is the emulated device, and `waits` are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __enter__(self):
        self._kept = torch.inference_mode, torch.tensor
        torch.inference_mode = torch.no_grad  # in inference mode nothing but torch may make a view
        torch.tensor = self._tensor
        return super().__enter__()

    def __exit__(self, *error):
        torch.inference_mode, torch.tensor = self._kept
        return super().__exit__(*error)

    def _tensor(self, data: Any, *args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        """Stock `torch.tensor` would leave a `meta` tensor empty."""
        made = self._kept[1](data, *args, **kwargs)
        return made if device is None else made.to(device)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        named = kwargs.get("device")
        flat = tree_flatten((args, kwargs))[0]
        ours = any(isinstance(x, There) for x in flat)
        if ours or (named is not None and torch.device(named).type == PLACE.type):
            return _run(func, args, kwargs, self.waits)
        return func(*args, **kwargs)

    def take(self, model: torch.nn.Module) -> torch.nn.Module:
        """A copy of a model whose weights and buffers are on the device."""
        model = copy.deepcopy(model)
        for module in model.modules():
            for name, weight in module._parameters.items():
                if weight is not None:
                    module._parameters[name] = torch.nn.Parameter(There(weight.data), False)
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = There(buffer)
        return model
