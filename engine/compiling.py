"""Fuses the operations of a network's layers with `torch.compile`.

Each layer is compiled by itself ("regional compilation" in PyTorch's manual), and once for all layers of a kind and
for inputs of any size: that takes seconds where a whole network takes minutes, and no other shape starts it again.
"""

from typing import Any

import torch
from torch import nn

from oneword.engine.devices import Placement
from oneword.engine.errors import DeviceUnavailable


def ready(network: Any, placement: Placement, device: torch.device) -> Any:
    """Returns a network that is ready for inference; its layers are compiled if the placement says so.

    Raises:
        DeviceUnavailable: nothing can be compiled on this machine.
    """
    network = network.eval().requires_grad_(False)
    if placement.get("compile"):
        _check(device)
        for layer in layers(network):
            layer.compile(dynamic=True)
    return network


def layers(network: nn.Module) -> list[nn.Module]:
    """Returns the layers of all stacks of a network, but for those inside of other layers."""
    found: list[nn.Module] = []
    for child in network.children():
        found += list(child) if isinstance(child, nn.ModuleList) else layers(child)
    return found


def _check(device: torch.device) -> None:
    """Raises DeviceUnavailable unless something small can be compiled and run, which takes a C++ compiler or Triton."""
    try:
        torch.compile(lambda x: x.exp() + 1)(torch.ones(8, device=device))
    except Exception as error:  # of a compiler, a missing package, a driver
        reason = str(error).strip().split("\n")[0]
        raise DeviceUnavailable(
            f"torch.compile does not work on {device} ({type(error).__name__}: {reason}): expected a C++ compiler "
            "(such as g++), and Triton for a GPU; install them, or drop --compile"
        ) from error
