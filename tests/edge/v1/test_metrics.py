"""What is counted of an inference request that has ended."""

from prometheus_client import REGISTRY

from edge.money.records import Record, Status
from edge.v1.metrics import count_ended


def record(**fields: object) -> Record:
    made = Record(
        request_id="r",
        account_id="a",
        api_key_id="k",
        start_time_ns=0,
        model_public_name="counted/one",
        endpoint="chat.completions",
        streamed=True,
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"privaterouter_{name}", labels) or 0.0


def test_a_request_counts_by_model_and_status() -> None:
    ended = {"status": Status.SUCCESS, "latency_ms": 2_000, "input_tokens": 7, "output_tokens": 3, "cost_nanos": 40}
    for _ in range(2):
        count_ended(record(**ended, first_token_ms=300, upstream_name="one", estimated=True))
    count_ended(record(status=Status.CANCELLED, latency_ms=9, input_tokens=1, cost_nanos=5))
    of = {"model": "counted/one", "status": "success"}
    assert value("requests_total", **of) == 2
    assert value("requests_total", model="counted/one", status="cancelled") == 1
    assert (value("request_seconds_sum", **of), value("first_token_seconds_sum", **of)) == (4.0, 0.6)
    assert value("tokens_total", **of, direction="input") == 14
    assert value("tokens_total", **of, direction="output") == 6
    assert value("charged_nanos_total", **of) == 80
    assert value("charged_nanos_total", model="counted/one", status="cancelled") == 5
    assert value("estimated_total", upstream="one") == 2


def test_errors_count_by_codes_of_ours_and_every_other_is_one() -> None:
    before = value("failed_total", code="other"), value("uncharged_nanos_total", status="error")
    count_ended(record(status=Status.ERROR, error_code="upstream_timeout", uncharged_nanos=9))
    count_ended(record(status=Status.ERROR, error_code="a_word_of_the_upstream"))
    assert value("failed_total", code="upstream_timeout") >= 1
    assert value("failed_total", code="other") == before[0] + 1
    assert value("failed_total", code="a_word_of_the_upstream") == 0
    assert value("uncharged_nanos_total", status="error") == before[1] + 9
