"""Beam looks at the signature of every method of every DoFn many times a pipeline; the tests let it look once.

A pipeline on a handful of photographs spends a third of its time there.
"""

import inspect
import sys
from functools import cache
from typing import Any


def look_once() -> None:
    """Keep what `apache_beam.transforms.core.get_function_args_defaults` says of a method, where Beam is imported."""
    core = sys.modules.get("apache_beam.transforms.core")
    if core is None or hasattr(core.get_function_args_defaults, "looks"):
        return
    look = core.get_function_args_defaults

    @cache
    def of_method(function: Any) -> tuple[list[str], list[Any]]:
        args, defaults = look(function)
        return args[1:], defaults

    def once(function: Any) -> tuple[list[str], list[Any]]:
        if not inspect.ismethod(function) or not inspect.isfunction(function.__func__):
            return look(function)
        args, defaults = of_method(function.__func__)
        return list(args), list(defaults)

    once.looks = look
    core.get_function_args_defaults = once
