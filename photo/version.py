"""The one place that says which version of Tintype this is."""

__version__ = "0.1.0"
