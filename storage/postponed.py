"""Packages that are imported at their first use, whoever imports them."""

import sys
from importlib.util import find_spec, module_from_spec
from typing import Any


def postpone(package: str) -> None:
    """Makes `import package` cheap: its `__init__` runs when something of it is first asked for.

    Its submodules are imported as ever, and none of them runs it. Nothing happens if the package is not installed, or
    imported already.
    """
    if package in sys.modules or (spec := find_spec(package)) is None or spec.loader is None:
        return
    module, loader = module_from_spec(spec), spec.loader

    def load(name: str) -> Any:
        if vars(module).pop("__getattr__", None) is not None:  # PEP 562
            loader.exec_module(module)
        return getattr(module, name)

    vars(module)["__getattr__"] = load
    sys.modules[package] = module
