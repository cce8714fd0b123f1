"""Checks of sizes that symmetry asks for."""

from lensdask.errors import InputError, check_number

__all__ = ["check_multiple", "check_odd"]


def check_multiple(name: str, value: int, step: int) -> None:
    """Refuse what is no positive multiple of a step.

    Raises
    ------
    InputError
        It is none.
    """
    check_number(name, value, least=1, whole=True)
    if value % step:
        raise InputError(f"{name}: {value}; expected a multiple of {step}")


def check_odd(name: str, value: int) -> None:
    """Refuse what is no positive odd number.

    Raises
    ------
    InputError
        It is none.
    """
    check_number(name, value, least=1, whole=True)
    if not value % 2:
        raise InputError(f"{name}: {value}; expected an odd number")
