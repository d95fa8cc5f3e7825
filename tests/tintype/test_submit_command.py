"""`tintype submit kubeflow` through the real KFP client, against a server that answers as KFP's API does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.runners import kubeflow_run
from pipeline.runners.kubeflow_run import KubeflowError
from tintype.cli import app

pytestmark = pytest.mark.kubeflow

PIPELINE = """\
pipelineInfo: {name: tintype-demo}
schemaVersion: 2.1.0
sdkVersion: tfx-1.21.0
root:
  dag: {tasks: {Trainer: {taskInfo: {name: Trainer}, componentRef: {name: Trainer}}}}
  inputDefinitions:
    parameters:
      data: {parameterType: STRING}
      steps: {parameterType: NUMBER_INTEGER, defaultValue: 500.0, isOptional: true}
---
platforms: {kubernetes: {deploymentSpec: {executors: {Trainer_executor: {nodeSelector: {labels: {a: b}}}}}}}
"""


class KfpApi(ThreadingHTTPServer):
    """The calls of KFP's v2beta1 API that starting and watching a run takes."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token: str | None = None  # what callers must show
        self.states = ["PENDING", "RUNNING", "SUCCEEDED"]
        self.details: dict[str, Any] = {}
        self.experiments: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.broken_polls = 0
        self.page: str | None = None  # instead of the API's answers

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: KfpApi

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, body: Any) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _is_refused(self) -> bool:
        if self.server.page is not None:
            self._answer(200, self.server.page)
        elif self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self._answer(401, {"error": "Unauthenticated", "message": "who are you?"})
        else:
            return False
        return True

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/apis/v2beta1/")
        if self._is_refused():
            return
        if path == "healthz":
            self._answer(200, {"multi_user": False})
        elif path == "experiments":
            self._answer(200, {"experiments": self.server.experiments} if self.server.experiments else {})
        elif path.startswith("runs/"):
            if self.server.broken_polls:
                self.server.broken_polls -= 1
                self._answer(503, {"message": "restarting"})
                return
            state = self.server.states.pop(0) if len(self.server.states) > 1 else self.server.states[0]
            end = self.server.details if len(self.server.states) == 1 else {}
            self._answer(200, {"run_id": "run-1", "state": state, **end})
        else:
            self._answer(404, {"message": f"no {path}"})

    def do_POST(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/apis/v2beta1/")
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._is_refused():
            return
        if path == "experiments":
            self.server.experiments.append({**body, "experiment_id": "exp-1"})
            self._answer(200, self.server.experiments[-1])
        elif path == "runs":
            if body["runtime_config"].get("pipeline_root") == "s3://refused":
                self._answer(400, {"error": "Invalid", "message": "that root is not allowed"})
                return
            self.server.runs.append(body)
            self._answer(200, {**body, "run_id": "run-1"})
        else:
            self._answer(404, {"message": f"no {path}"})


@pytest.fixture
def server() -> Iterator[KfpApi]:
    with KfpApi() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _quick_and_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(kubeflow_run, "POLL_SECONDS", 0.01)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # the KFP client reads and writes its context there
    monkeypatch.delenv("TINTYPE_KFP_TOKEN", raising=False)


@pytest.fixture
def pipeline(tmp_path) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text(PIPELINE)
    return path


def submit(server, pipeline, *arguments):
    url = server if isinstance(server, str) else server.url
    options = ["--param", "data=gs://archive/photos", *map(str, arguments)]
    return CliRunner().invoke(app, ["submit", "kubeflow", "--endpoint", url, "--pipeline", str(pipeline), *options])


def test_a_run_is_started_with_its_parameters_in_their_types(server, pipeline):
    answer = submit(server, pipeline, "--param", "steps=60", "--experiment", "archive", "--run-name", "first")
    assert answer.exit_code == 0, answer.exception
    assert answer.stdout.strip() == "run-1"
    assert server.experiments[0]["display_name"] == "archive"
    (run,) = server.runs
    assert (run["experiment_id"], run["display_name"]) == ("exp-1", "first")
    assert run["runtime_config"]["parameters"] == {"data": "gs://archive/photos", "steps": 60}
    assert run["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "tintype-demo"
    assert "kubernetes" in run["pipeline_spec"]["platform_spec"]["platforms"]


def test_waiting_tells_every_state_and_bears_a_server_that_restarts(server, pipeline):
    server.broken_polls = 2
    answer = submit(server, pipeline, "--wait")
    assert answer.exit_code == 0, answer.exception
    lines = [line.removeprefix("run run-1: ") for line in answer.stderr.splitlines() if line.startswith("run run-1")]
    assert lines == ["PENDING", "RUNNING", "SUCCEEDED"]


@pytest.mark.parametrize("state", ["FAILED", "CANCELED"])
def test_a_run_that_does_not_succeed_has_exit_code_one_and_names_the_step(server, pipeline, state):
    server.states = ["RUNNING", state]
    task = {"display_name": "DataGate", "state": "FAILED", "error": {"message": "exit status 1"}}
    server.details = {"error": {"message": "stopped"}, "run_details": {"task_details": [task]}}
    answer = submit(server, pipeline, "--wait")
    assert answer.exit_code == 1
    assert "step DataGate failed: exit status 1" in answer.stderr


def test_a_run_that_takes_too_long_goes_on_alone(server, pipeline):
    server.states = ["RUNNING"]
    answer = submit(server, pipeline, "--wait", "--timeout", "0.1")
    assert isinstance(answer.exception, KubeflowError)
    assert "it goes on" in str(answer.exception)


@pytest.mark.parametrize("source", ["environment", "file"])
def test_a_token_comes_from_the_environment_or_a_file(server, pipeline, monkeypatch, tmp_path, source):
    server.token = "s3cret"
    refused = submit(server, pipeline)
    assert isinstance(refused.exception, KubeflowError)
    assert "401" in str(refused.exception)
    assert "token" in str(refused.exception)
    if source == "environment":
        monkeypatch.setenv("TINTYPE_KFP_TOKEN", "s3cret")
        answer = submit(server, pipeline)
    else:
        (tmp_path / "token").write_text("s3cret\n")
        answer = submit(server, pipeline, "--token-file", tmp_path / "token", "--wait")
    assert answer.exit_code == 0, answer.exception
    assert "s3cret" not in answer.output


def test_a_server_that_is_away_or_none_or_refuses_is_named(server, pipeline):
    def message(*arguments) -> str:
        answer = submit(*arguments)
        assert isinstance(answer.exception, KubeflowError)
        return str(answer.exception)

    assert "no Kubeflow Pipelines at http://127.0.0.1:1: " in message("http://127.0.0.1:1", pipeline)
    assert "must start with http" in message("localhost:8888", pipeline)
    assert "answers 400: that root is not allowed" in message(server, pipeline, "--pipeline-root", "s3://refused")
    server.page = "<html>sign in</html>"
    assert "login page" in message(server, pipeline)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--param", "stepz=3"], "no parameter 'stepz'; there are data, steps"),
        (["--param", "steps=many"], "steps must be a number"),
        (["--param", "steps"], "name=value"),
    ],
)
def test_a_wrong_parameter_is_refused_before_the_server_is_asked(pipeline, arguments, message):
    answer = submit("http://127.0.0.1:1", pipeline, *arguments)
    assert isinstance(answer.exception, KubeflowError)
    assert message in str(answer.exception)


def test_what_has_no_default_must_be_given(pipeline):
    arguments = ["submit", "kubeflow", "--endpoint", "http://127.0.0.1:1", "--pipeline", str(pipeline)]
    answer = CliRunner().invoke(app, arguments)
    assert "no default for data; give --param data=..." in str(answer.exception)


def test_a_file_that_is_no_pipeline_is_refused(tmp_path):
    for name, content in (("text.yaml", "just words"), ("broken.yaml", "a: [")):
        (tmp_path / name).write_text(content)
        assert "is no pipeline" in str(submit("http://127.0.0.1:1", tmp_path / name).exception)
    assert "cannot read" in str(submit("http://127.0.0.1:1", tmp_path / "missing.yaml").exception)


def test_either_a_pipeline_or_a_config_is_given(pipeline):
    assert submit("http://127.0.0.1:1", pipeline, "--config", "demo").exit_code == 2
    assert CliRunner().invoke(app, ["submit", "kubeflow", "--endpoint", "http://127.0.0.1:1"]).exit_code == 2
    assert submit("http://127.0.0.1:1", pipeline, "--set", "train.steps=3").exit_code == 2


def test_a_config_is_compiled_and_started_in_one_command(server):
    arguments = ["submit", "kubeflow", "--endpoint", server.url, "--config", "demo", "--set", "train.steps=9"]
    arguments += ["--image", "registry.example/t:1", "--data", "/photos", "--param", "destination=/models"]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.exception
    (run,) = server.runs
    declared = run["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
    assert declared["steps"]["defaultValue"] == 9
    assert run["runtime_config"]["parameters"] == {"destination": "/models"}
