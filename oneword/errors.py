"""The base of everything that Oneword raises."""


class Error(Exception):
    """Something could not be done; the message says what, and what to do about it."""
