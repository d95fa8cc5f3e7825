import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from pipeline.config import ConfigError
from tintype.cli import app


@pytest.mark.kubeflow
def test_the_pipeline_is_written_with_what_the_command_line_says(tmp_path):
    target = tmp_path / "new" / "pipeline.yaml"
    arguments = ["compile", "kubeflow", "--config", "sn_unet_lab_128", "--image", "registry.example/t:2"]
    arguments += ["--set", "train.steps=77", "--data", "/photos.zip", "--pipeline-root", "s3://bucket/root"]
    answer = CliRunner().invoke(app, [*arguments, "-o", str(target)], catch_exceptions=False)
    assert answer.exit_code == 0
    assert str(target) in answer.output
    spec = yaml.safe_load(target.read_text())
    defaults = {
        name: parameter.get("defaultValue")
        for name, parameter in spec["root"]["inputDefinitions"]["parameters"].items()
    }
    assert defaults == {"data": "/photos.zip", "destination": None, "steps": 77, "image": "registry.example/t:2"}
    assert spec["pipelineInfo"]["name"] == "tintype-sn-unet-lab-128"
    assert spec["defaultPipelineRoot"] == "s3://bucket/root"


def test_a_wrong_field_is_named_and_nothing_is_written(tmp_path):
    target = tmp_path / "pipeline.yaml"
    arguments = ["compile", "kubeflow", "--set", "resources.trainer.cpus=3", "-o", str(target)]
    answer = CliRunner().invoke(app, arguments)
    assert isinstance(answer.exception, ConfigError)
    assert "resources.trainer.cpus: no such field" in str(answer.exception)
    assert CliRunner().invoke(app, ["compile", "kubeflow", "-o", str(tmp_path / "pipeline.json")]).exit_code == 2
    assert not list(tmp_path.iterdir())


def test_the_help_of_what_speaks_to_clusters_loads_neither_tfx_nor_kfp():
    script = (
        "import sys; from typer.testing import CliRunner; from tintype.cli import app\n"
        "for command in ('compile', 'submit'):\n"
        "    assert CliRunner().invoke(app, [command, 'kubeflow', '--help']).exit_code == 0\n"
        "heavy = {'tfx', 'kfp', 'tensorflow', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
