"""In which precision a training computes, chosen from what the machine multiplies fast, and why."""

from pathlib import Path

import tensorflow as tf

# The first GPUs with units for bfloat16 (Ampere).
_CAPABILITY_OF_BFLOAT16 = (8, 0)
CPU_INFO = Path("/proc/cpuinfo")


def choose_precision(requested: str = "auto") -> tuple[str, str]:
    """The Keras dtype policy and a sentence that explains it.

    Args:
        requested: `auto`, `float32` or `mixed_bfloat16`. `auto` computes in 16 bits on GPUs and CPUs that have matrix
            units for bfloat16; elsewhere it is emulated and slower. Weights are kept in 32 bits in any case.
    """
    if requested != "auto":
        return requested, "as the config says"
    if gpus := tf.config.list_physical_devices("GPU"):
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        if all(device.get("compute_capability", (0, 0)) >= _CAPABILITY_OF_BFLOAT16 for device in details):
            return "mixed_bfloat16", "the GPU has units for it"
        return "float32", "the GPU has no units for bfloat16"
    if "amx_bf16" in _cpu_flags():
        return "mixed_bfloat16", "the CPU has matrix units for it (AMX)"
    return "float32", "the CPU has no matrix units for bfloat16"


def _cpu_flags() -> frozenset[str]:
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").partition(":")[2].split())
