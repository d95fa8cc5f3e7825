"""What each step of the pipeline gets when it runs on a cluster: processors, memory, GPUs, volumes, and new tries."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_FACTORS = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
Memory = Annotated[
    str,
    Field(
        pattern=r"^[1-9][0-9]*(K|M|G|T|Ki|Mi|Gi|Ti)?$",
        description="bytes as Kubernetes writes them: a whole number and Ki, Mi, Gi, Ti (powers of 1024) or K, M, G, T",
    ),
]


class Toleration(BaseModel):
    """A taint of nodes that a step's pod may be placed on, as Kubernetes writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(description="the taint's key")
    operator: Literal["Exists", "Equal"] = Field(default="Exists", description="whether the value counts")
    value: str | None = Field(default=None, description="the taint's value, for Equal")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="the taint's effect; any if not said"
    )


class StepResources(BaseModel):
    """What one step gets. What is not set is left to the cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: float | None = Field(default=None, gt=0, description="processors, 0.5 is half of one; requested and the limit")
    memory: Memory | None = Field(default=None, description="as 16Gi; requested and the limit")
    gpu_type: str = Field(
        default="nvidia.com/gpu",
        pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$",
        description="the resource that the cluster's device plugin offers",
    )
    gpu_count: int = Field(default=0, ge=0, description="how many of them")
    node_labels: dict[str, str] = Field(
        default={}, description="labels that the node must have, as cloud.google.com/gke-accelerator: nvidia-l4"
    )
    tolerations: tuple[Toleration, ...] = Field(
        default=(), description="taints of nodes that the step may be placed on, as [{key: nvidia.com/gpu}]"
    )
    shared_memory: Memory | None = Field(default=None, description="the size of /dev/shm, which NCCL uses; as 2Gi")
    retries: int = Field(default=0, ge=0, le=20, description="new tries after a failure")


class Volume(BaseModel):
    """A persistent volume that every step finds at the same path."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str = Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", description="the PersistentVolumeClaim's name")
    path: str = Field(pattern=r"^/[^\s]+$", description="where the steps find it")


class Resources(BaseModel):
    """What the steps get on a cluster; a run on one machine takes no notice.

    What a step's own section does not set is taken from `default`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    volumes: tuple[Volume, ...] = ()
    pull_secrets: tuple[str, ...] = Field(
        default=(), description="secrets of the runs' namespace with which the image is fetched"
    )
    default: StepResources = StepResources()
    photo_fingerprint: StepResources = StepResources()
    image_example_gen: StepResources = StepResources()
    import_schema_gen: StepResources = StepResources()
    statistics_gen: StepResources = StepResources()
    example_validator: StepResources = StepResources()
    data_gate: StepResources = StepResources()
    trainer: StepResources = StepResources()
    evaluator: StepResources = StepResources()
    canary: StepResources = StepResources()
    pusher: StepResources = StepResources()

    def of(self, component_id: str) -> StepResources:
        """What a component gets, by its id in the pipeline, as ImageExampleGen."""
        own = getattr(self, re.sub(r"(?<!^)(?=[A-Z])", "_", component_id).lower())
        return self.default.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})


def memory_bytes(memory: str) -> int:
    """Bytes of a quantity of memory as Kubernetes writes it: 16Gi are 16 * 2**30."""
    number = memory.rstrip("KMGTi")
    return int(number) * _FACTORS[memory[len(number) :]]
