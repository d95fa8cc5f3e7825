"""`tintype serve`."""


def serve() -> None:
    """Serve a model."""
    raise NotImplementedError
