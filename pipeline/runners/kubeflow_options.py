"""What is said of Kubeflow Pipelines beside a run's config. The command line reads its options off the fields."""

from dataclasses import dataclass, field
from pathlib import Path

TOKEN_VARIABLE = "TINTYPE_KFP_TOKEN"


@dataclass(frozen=True)
class KubeflowOptions:
    """What is said of a pipeline when it is compiled.

    Attributes:
        image: the container image of every step; None leaves the parameter `image` without a default.
        data: the photographs, as the steps see them; None leaves the parameter `data` without a default.
        pipeline_root: where the artifacts are kept (gs://, s3:// or minio://); None leaves it to the server.
        checkpoint_base: a folder on a volume, where a Trainer that is tried again goes on; "" keeps no checkpoints.
        workers: processes for reading and measuring photographs; 0 takes one for every core.
        enable_cache: reuse the results of steps whose inputs have not changed.
    """

    image: str | None = field(
        default=None,
        metadata={"metavar": "IMAGE", "help": "The steps' container image; default of the parameter `image`."},
    )
    data: str | None = field(
        default=None,
        metadata={"metavar": "URL", "help": "Photographs as the steps see them; default of the parameter `data`."},
    )
    pipeline_root: str | None = field(
        default=None,
        metadata={
            "metavar": "URL",
            "help": "Where artifacts are kept, gs://, s3:// or minio://. [default: the server's]",
        },
    )
    checkpoint_base: str = field(
        default="",
        metadata={
            "flag": "--checkpoints",
            "metavar": "FOLDER",
            "help": "On a volume of resources.volumes: a Trainer tried again goes on from there.",
        },
    )
    workers: int = field(
        default=1,
        metadata={"min": 0, "help": "Processes of a step for reading and measuring photographs; 0: all cores."},
    )
    enable_cache: bool = field(
        default=True,
        metadata={"flag": "--cache/--no-cache", "help": "Reuse results of steps with unchanged inputs."},
    )


@dataclass(frozen=True)
class KubeflowEndpoint:
    """Where the API server is, and who asks.

    Attributes:
        url: as http://localhost:8888 or https://kubeflow.example/pipeline.
        token: a bearer token; None for none.
        token_file: a file with a bearer token, read anew before every call, since such tokens expire.
        ca_cert: a PEM file with the authority of the server's certificate.
        namespace: the profile's namespace, where the server has several users.
        service_account: under which the run's pods run; None leaves it to the server.
    """

    url: str = field(
        metadata={
            "flag": "--endpoint",
            "metavar": "URL",
            "help": "The API server, as http://localhost:8888 of a port-forward.",
        }
    )
    token: str | None = None
    token_file: Path | None = field(
        default=None,
        metadata={
            "metavar": "FILE",
            "help": f"Holds a bearer token, read before every call; or set {TOKEN_VARIABLE}.",
        },
    )
    ca_cert: Path | None = field(
        default=None, metadata={"metavar": "PEM", "help": "Authority of the server's certificate."}
    )
    namespace: str | None = field(default=None, metadata={"help": "The profile's, on a server with several users."})
    service_account: str | None = field(
        default=None, metadata={"help": "Under which the run's pods run, with its rights to buckets."}
    )
