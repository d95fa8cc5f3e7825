"""`tintype colorize`."""


def colorize() -> None:
    """Colour photographs."""
    raise NotImplementedError
