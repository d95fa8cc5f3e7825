import pytest

from components.trainer import precision


@pytest.mark.parametrize(
    ("flags", "policy"), [("fpu avx512f amx_tile amx_bf16", "mixed_bfloat16"), ("fpu avx2 avx512_bf16", "float32")]
)
def test_a_cpu_with_matrix_units_computes_in_sixteen_bits(tmp_path, monkeypatch, flags, policy):
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    monkeypatch.setattr(precision, "CPU_INFO", info)
    assert precision.choose_precision("auto")[0] == policy


def test_without_knowing_the_cpu_thirty_two_bits_are_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "none")
    assert precision.choose_precision("auto") == ("float32", "the CPU has no matrix units for bfloat16")


@pytest.mark.parametrize(
    ("details", "policy"),
    [
        ([{"compute_capability": (9, 0)}], "mixed_bfloat16"),
        ([{"compute_capability": (7, 5)}], "float32"),
        ([{}], "float32"),
    ],
)
def test_gpus_since_ampere_compute_in_sixteen_bits(monkeypatch, details, policy):
    monkeypatch.setattr(precision.tf.config, "list_physical_devices", lambda kind: details)
    monkeypatch.setattr(precision.tf.config.experimental, "get_device_details", lambda gpu: gpu)
    assert precision.choose_precision("auto")[0] == policy


def test_the_config_has_the_last_word():
    assert precision.choose_precision("float32")[0] == "float32"
    assert precision.choose_precision("mixed_bfloat16")[0] == "mixed_bfloat16"
