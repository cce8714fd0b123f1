"""The one exception that means "your input is at fault, and here is how to mend it", and checks of single values."""

from collections.abc import Collection, Sized
from math import inf, isfinite
from numbers import Integral, Real

__all__ = ["InputError", "check_choice", "check_number", "check_seed"]


class InputError(ValueError):
    """Input that lensdask cannot accept.

    The message is one line that says what is wrong, where, and what was expected. The command line
    prints that line and exits with code 2.
    """


def check_number(
    name: str,
    value: object,
    *,
    above: float = -inf,
    least: float = -inf,
    below: float = inf,
    most: float = inf,
    whole: bool = False,
    meaning: str = "",
) -> None:
    """Refuse what is not one finite number in a range.

    Parameters
    ----------
    name
        What the message calls the value.
    value
        A number of Python or NumPy.
    above, least
        Lower end, excluded or included.
    below, most
        Upper end, excluded or included.
    whole
        Whether it must be a whole number.
    meaning
        What the number is, and its unit, for the message.

    Raises
    ------
    InputError
        It is something else, or larger than the 64 bits that a computer has for it.
    """
    # Python takes True for a number.
    known = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    if not (known and above < value < below and least <= value <= most):  # type: ignore[operator]  # known is a Real
        wanted = _range(above, least, below, most, "whole number" if whole else "number")
    elif isinstance(value, Integral) and abs(int(value)) >= (2**63 if whole else 2**1023):
        wanted = f"a number below 2^{63 if whole else 1023}"
    else:
        return
    raise InputError(f"{name}: {_brief(value)}; expected {wanted}" + f" ({meaning})" * bool(meaning))


_SHOWN = 4
"""Values of a list that a message shows."""


def _brief(value: object) -> str:
    """Return a value for a message; of a long array or list, how many values it has."""
    # An array without dimensions has no length.
    if isinstance(value, str) or not isinstance(value, Sized) or getattr(value, "shape", None) == ():
        return str(value)
    return f"{len(value)} values" if len(value) > _SHOWN else str(value)


def _range(above: float, least: float, below: float, most: float, kind: str) -> str:
    """Return a range in words."""
    if isfinite(least) and isfinite(most):
        return f"a {kind} from {least:g} to {most:g}"
    if (above, least, below, most) == (0, -inf, inf, inf):
        return f"a positive {kind}"
    ends = {"above": above, "of at least": least, "below": below, "of at most": most}
    words = " and ".join(f"{word} {end:g}" for word, end in ends.items() if isfinite(end))
    return f"a {kind} {words}" if words else f"a finite {kind}"


def check_seed(seed: object) -> None:
    """Refuse what is no seed of `lensdask.random`.

    Raises
    ------
    InputError
        It is not a whole number from 0 to 2^63.
    """
    if not (isinstance(seed, Integral) and not isinstance(seed, bool) and 0 <= int(seed) < 2**63):
        raise InputError(f"seed: {seed}; expected a whole number from 0 to 2^63")


def check_choice(name: str, value: object, options: Collection[str]) -> None:
    """Refuse what is not one of some names.

    Raises
    ------
    InputError
        It is none of them.
    """
    if value not in options:
        *others, last = options
        raise InputError(f"{name}: {value!r}; expected " + f"{', '.join(others)} or " * bool(others) + last)
