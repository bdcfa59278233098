"""The one exception that the `lorabook` command turns into a line of text instead of a traceback."""


class Refused(ValueError):
    """A command cannot do what it was asked; the message names the value and the next step."""
