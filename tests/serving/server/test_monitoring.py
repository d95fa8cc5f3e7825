"""The metrics page: TensorFlow Serving's names, labels and limits, in a text that Prometheus reads."""

import threading

from prometheus_client.parser import text_string_to_metric_families

from serving.server.monitoring import ServerMetrics


def lines(metrics, start):
    return [line for line in metrics.exposition().decode().splitlines() if line.startswith(start)]


def test_requests_are_counted_by_status_and_timed_when_they_succeed():
    metrics = ServerMetrics()
    metrics.observe_request("colorizer", "Predict", "GRPC", "OK", 0.0005)
    metrics.observe_request("colorizer", "predict", "REST", "OK", 0.0001)
    metrics.observe_request("colorizer", "predict", "REST", "NOT_FOUND", 9.0)
    assert lines(metrics, ":tensorflow:serving:request_count") == [
        ':tensorflow:serving:request_count{model_name="colorizer",status="OK"} 2',
        ':tensorflow:serving:request_count{model_name="colorizer",status="NOT_FOUND"} 1',
    ]
    grpc = '{model_name="colorizer",API="Predict",entrypoint="GRPC"'
    assert lines(metrics, ":tensorflow:serving:request_latency_sum") == [
        f":tensorflow:serving:request_latency_sum{grpc}}} 500",
        ':tensorflow:serving:request_latency_sum{model_name="colorizer",API="predict",entrypoint="REST"} 100',
    ]
    bucket = f":tensorflow:serving:request_latency_bucket{grpc},le="
    assert lines(metrics, bucket)[6:9] == [f'{bucket}"340.122"}} 0', f'{bucket}"612.22"}} 1', f'{bucket}"1102"}} 1']


def test_latencies_have_tensorflow_servings_limits():
    metrics = ServerMetrics()
    metrics.observe_warmup("/models/colorizer/1", 1.0, "OK")
    found = [
        line.split('le="')[1].split('"')[0] for line in lines(metrics, ":tensorflow:serving:model_warmup_latency_b")
    ]
    assert len(found) == 34
    assert found[:6] == ["10", "18", "32.4", "58.32", "104.976", "188.957"]
    assert found[19:22] == ["708235", "1.27482e+06", "2.29468e+06"]
    assert found[-2:] == ["1.47476e+09", "+Inf"]


def test_loads_examples_and_runtime_have_tensorflow_servings_names():
    metrics = ServerMetrics()
    metrics.observe_load("/models/colorizer/1", 0.7, "success")
    metrics.observe_load("/models/colorizer/2", 0.1, "fail")
    metrics.observe_examples("iris", 3)
    metrics.observe_runtime("iris", "Classify", 0.001)
    assert lines(metrics, ":tensorflow:cc:") == [
        ':tensorflow:cc:saved_model:load_attempt_count{model_path="/models/colorizer/1",status="success"} 1',
        ':tensorflow:cc:saved_model:load_attempt_count{model_path="/models/colorizer/2",status="fail"} 1',
        ':tensorflow:cc:saved_model:load_latency{model_path="/models/colorizer/1"} 700000',
    ]
    assert lines(metrics, ":tensorflow:serving:request_example_count_total") == [
        ':tensorflow:serving:request_example_count_total{model="iris"} 3'
    ]
    assert ':tensorflow:serving:request_example_counts_bucket{model="iris",le="4"} 1' in lines(metrics, ":")
    count = ':tensorflow:serving:runtime_latency_count{model_name="iris",API="Classify",runtime="TF1"} 1'
    assert count in lines(metrics, ":")


def test_the_page_is_typed_and_prometheus_reads_it_back_whatever_the_names():
    metrics = ServerMetrics()
    odd = 'a "quoted\\name"\nin two lines é'
    metrics.observe_request(odd, "Predict", "GRPC", "OK", 0.001)
    page = metrics.exposition().decode()
    assert "# TYPE :tensorflow:serving:request_count counter\n" in page
    assert "# TYPE :tensorflow:serving:request_latency histogram\n" in page
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert families[":tensorflow:serving:request_count"].samples[0].labels["model_name"] == odd


def test_each_version_has_series_of_its_own_beside_tensorflow_servings():
    metrics = ServerMetrics()
    metrics.observe_version("colorizer", 7, "OK", 0.5)
    metrics.observe_version("colorizer", 8, "OK", 0.5)
    metrics.observe_version("colorizer", 8, "INVALID_ARGUMENT", 0.5)
    page = metrics.exposition().decode()
    for line in (
        ':tintype:serving:request_count{model_name="colorizer",model_version="7",status="OK"} 1',
        ':tintype:serving:request_count{model_name="colorizer",model_version="8",status="INVALID_ARGUMENT"} 1',
        ':tintype:serving:runtime_latency_sum{model_name="colorizer",model_version="8"} 500000',
    ):
        assert line in page


def test_the_increase_of_a_counter_is_told_by_either_of_its_names():
    metrics = ServerMetrics()
    names = ["/tensorflow/serving/request_count", ":tensorflow:serving:request_count", "nothing"]
    metrics.observe_request("m", "Predict", "GRPC", "OK", 0.1)
    before = metrics.increases(names, {})
    assert list(before.values()) == [1, 1, 0]
    metrics.observe_request("m", "Predict", "GRPC", "OK", 0.1)
    metrics.observe_request("n", "Predict", "GRPC", "OK", 0.1)
    assert list(metrics.increases(names, before).values()) == [2, 2, 0]


def test_two_servers_in_a_process_count_apart():
    first, second = ServerMetrics(), ServerMetrics()
    first.observe_request("colorizer", "Predict", "GRPC", "OK", 0.001)
    assert lines(first, ":tensorflow:serving:request_count")
    assert not lines(second, ":tensorflow:serving:request_count")


def test_names_that_clients_invent_do_not_fill_the_memory():
    metrics = ServerMetrics()
    for number in range(1500):
        metrics.observe_request(f"invented-{number}", "Predict", "GRPC", "NOT_FOUND", 0.001)
    counts = lines(metrics, ":tensorflow:serving:request_count")
    assert len(counts) == 1001
    assert counts[-1] == ':tensorflow:serving:request_count{model_name="(others)",status="NOT_FOUND"} 500'


def test_no_observation_of_any_thread_is_lost():
    metrics = ServerMetrics()

    def observe():
        for _ in range(500):
            metrics.observe_request("colorizer", "Predict", "GRPC", "OK", 0.001)

    threads = [threading.Thread(target=observe) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines(metrics, ":tensorflow:serving:request_count")[0].endswith(" 4000")
