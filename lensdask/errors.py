"""The one exception that means "your input is at fault, and here is how to mend it"."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Input that lensdask cannot accept.

    The message is one line that says what is wrong, where, and what was expected. The command line
    prints that line and exits with code 2.
    """
