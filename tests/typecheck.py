"""Types and shapes of effunet, checked at every call of the test suite.

As jaxtyping's import hook does it, at half of its price: one check for arguments and result, and
the names of sizes without the arguments' own, which no annotation of ours asks for (`{...}`).
"""

from collections.abc import Callable
from functools import wraps
from inspect import isclass, isgeneratorfunction
from types import FunctionType
from typing import Any, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""beartype, with an int allowed where a float is meant."""

_jaxtyped = jaxtyping.jaxtyped


def install() -> None:
    """Have what is imported of effunet from now on checked."""
    jaxtyping.install_import_hook("effunet", "typecheck.check")
    jaxtyping.jaxtyped = decorator  # which the hook writes above every function and class


def decorator(*, typechecker: Callable[..., Any]) -> Callable[[Any], Any]:
    """What stands above each function and class while the tests run."""

    def decorated(target: Any) -> Any:
        # beartype looks at a generator's arguments when its first value is asked for: in the midst
        # of another call.
        if isclass(target) or isgeneratorfunction(target):
            return _jaxtyped(target, typechecker=typechecker)
        return _checked(target) if isinstance(target, FunctionType) else target

    return decorated


def _checked(function: FunctionType) -> Callable[..., Any]:
    function.__annotations__ = {
        name: _resolved(hint, function) for name, hint in function.__annotations__.items()
    }
    checked = check(function)
    if not _sized(function):
        return checked

    @wraps(function)
    def within(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with _jaxtyped("context"):  # sizes of one name are alike within a call
            return checked(*args, **kwargs)

    return within


def _resolved(hint: Any, function: FunctionType) -> Any:
    """A type without forward references; Any where one names what is imported for types alone."""

    def asks(value: Any) -> None: ...

    asks.__annotations__ = {"value": hint}
    try:
        return get_type_hints(asks, function.__globals__, include_extras=True)["value"]
    except NameError:
        return Any


def _sized(hint: Any) -> bool:
    """Whether a type, or one of a function's, speaks of arrays."""
    if isinstance(hint, FunctionType):
        return any(map(_sized, hint.__annotations__.values()))
    if isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_sized, get_args(hint)))
