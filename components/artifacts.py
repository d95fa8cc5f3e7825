"""The types of artifacts that TFX does not have, known to the component that writes one and to those that read it."""

from tfx.types.artifact import Artifact


class DataVerdict(Artifact):
    """A `verdict.json` with the photographs of each split, written only when the data passed the gate.

    What depends on it, as the Trainer does, cannot run on data that was stopped.
    """

    # Kubeflow's steps import an artifact type by this name (see `components.__getattr__`).
    TYPE_NAME = "components.DataVerdict"
