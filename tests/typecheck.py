"""Types and shapes of effunet, checked at every call of the test suite.

As jaxtyping's import hook does it, at half of its price: one check for arguments and result, and
the names of sizes without the arguments' own, which no annotation of ours asks for (`{...}`).
"""

from collections.abc import Callable
from functools import wraps
from inspect import isclass
from types import FunctionType
from typing import Any, get_args

import jaxtyping
from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""beartype, with an int allowed where a float is meant."""

_jaxtyped = jaxtyping.jaxtyped


def install() -> None:
    """Have what is imported of effunet from now on checked."""
    jaxtyping.install_import_hook("effunet", "typecheck.check")
    jaxtyping.jaxtyped = _decorator  # which the hook writes above every function and class


def _decorator(*, typechecker: Callable[..., Any]) -> Callable[[Any], Any]:
    def decorated(target: Any) -> Any:
        if isclass(target):
            return _jaxtyped(target, typechecker=typechecker)
        return _checked(target) if isinstance(target, FunctionType) else target

    return decorated


def _checked(function: FunctionType) -> Callable[..., Any]:
    checked = check(function)
    if not _sized(function):
        return checked

    @wraps(function)
    def within(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with _jaxtyped("context"):  # sizes of one name are alike within a call
            return checked(*args, **kwargs)

    return within


def _sized(hint: Any) -> bool:
    """Whether a type, or one of a function's, speaks of arrays; of a forward reference it may."""
    if isinstance(hint, FunctionType):
        return any(map(_sized, hint.__annotations__.values()))
    if isinstance(hint, str):
        return True
    if isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_sized, get_args(hint)))
