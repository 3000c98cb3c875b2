from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from edgeseg.apps.preview.metrics import Metrics
from edgeseg.runtime.status import FindingStatus
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def scraped(make_status: Callable[..., Any], make_source: Callable[..., Any]) -> str:
    landing = FindingStatus(False, "unstable", "", {}, {"": 30, "unstable": 4})
    status = make_status(
        make_source(1, findings={"landing": landing}),
        make_source(2, valid=False, reason="dark", age_seconds=None, connected=False),
    )
    return Metrics(lambda: status, lambda: (3, 1)).page()[0].decode()


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("seg_frames_captured_total", {"source": "1"}, 100),
        ("seg_frames_dropped_total", {"source": "1", "reason": "newer-frame"}, 7),
        ("seg_frame_age_seconds", {"source": "1"}, 0.04),
        ("seg_source_up", {"source": "1"}, 1),
        ("seg_source_up", {"source": "2"}, 0),
        ("seg_result_valid", {"source": "2"}, 0),
        ("seg_source_reconnects_total", {"source": "1"}, 2),
        ("seg_results_total", {"source": "1"}, 90),
        ("seg_results_invalid_total", {"source": "2", "reason": "dark"}, 3),
        ("seg_deadline_misses_total", {"source": "1"}, 4),
        ("seg_deadline_seconds", {}, 0.05),
        ("seg_inference_errors_total", {"kind": "raised"}, 1),
        ("seg_temperature_celsius", {"sensor": "cpu-thermal"}, 61.5),
        ("seg_stage_duration_seconds_bucket", {"stage": "inference", "le": "0.01"}, 5),
        ("seg_stage_duration_seconds_bucket", {"stage": "inference", "le": "0.1"}, 8),
        ("seg_stage_duration_seconds_bucket", {"stage": "inference", "le": "+Inf"}, 9),
        ("seg_stage_duration_seconds_count", {"stage": "inference"}, 9),
        ("seg_stage_duration_seconds_sum", {"stage": "inference"}, 0.9),
        ("seg_sink_written_total", {"source": "1", "sink": "events"}, 80),
        ("seg_sink_errors_total", {"source": "1", "sink": "events"}, 2),
        ("seg_sink_disabled", {"source": "1", "sink": "events"}, 1),
        ("seg_sink_dropped_total", {"source": "1", "sink": "video"}, 6),
        ("seg_sink_dropped_total", {"source": "1", "sink": "video-2"}, 8),
        ("seg_sink_written_total", {"source": "1", "sink": "shared-memory"}, 3),
        ("seg_finding_valid", {"source": "1", "finding": "landing"}, 0),
        ("seg_findings_total", {"source": "1", "finding": "landing", "reason": ""}, 30),
        ("seg_findings_total", {"source": "1", "finding": "landing", "reason": "unstable"}, 4),
        ("seg_ready", {}, 0),
        ("seg_up", {}, 1),
        ("seg_preview_clients", {}, 3),
        ("seg_preview_clients_dropped_total", {}, 1),
    ],
)
def test_each_figure_is_there(scraped: str, name: str, labels: dict[str, str], value: float) -> None:
    assert samples(scraped)[name, tuple(sorted(labels.items()))] == pytest.approx(value)


def test_what_runs_is_told(scraped: str) -> None:
    build = next(dict(labels) for name, labels in samples(scraped) if name == "seg_build_info")
    assert build["variant"] == "int8-cpu"
    assert build.keys() == {"version", "bundle", "variant", "backend", "device", "precision"}


def test_an_age_that_is_not_known_is_left_out(scraped: str) -> None:
    assert ("seg_frame_age_seconds", (("source", "2"),)) not in samples(scraped)


def test_labels_hold_no_address_and_no_secret(scraped: str) -> None:
    assert "secret" not in scraped
    assert not re.search(r"//|10\.0\.0\.9|camera|\.mp4", scraped)


def test_only_what_grows_is_called_total(scraped: str) -> None:
    for family in text_string_to_metric_families(scraped):
        totals = {sample.name.endswith("_total") for sample in family.samples}
        assert totals <= {family.type == "counter"}, family.name


def test_a_run_that_does_not_answer_is_a_figure_too() -> None:
    found = samples(Metrics(lambda: None, lambda: (0, 0)).page()[0].decode())
    assert found["seg_up", ()] == 0
    assert "seg_ready" not in {name for name, _ in found}


def test_the_server_gives_both_forms(run: Any, until: Callable[..., None]) -> None:
    url = run.server.url + "metrics"
    until(lambda: samples(httpx.get(url).text)["seg_up", ()] == 1, "a status")
    plain = httpx.get(url)
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert samples(plain.text)["seg_source_up", (("source", "0"),)] == 1
    opened = httpx.get(url, headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert opened.headers["content-type"].startswith("application/openmetrics-text")
    assert "seg_frames_captured" in {family.name for family in parse_openmetrics(opened.text)}
