"""Rate limits as callers see them: headers, and a 429 that names the limit and whose it is."""

import pytest

from edge.limits.rates import AT_ONCE, KEY, PLAN, REQUESTS, TOKENS, Admission, RateAnswer, Refusal
from edge.v1.limiting import duration, refused, show_limits

SOME = RateAnswer(allowed=True, limit=60, remaining=59, reset_s=1.0, retry_after_s=0.0)


def test_requests_are_always_shown_and_tokens_where_they_are_limited() -> None:
    headers: dict[str, str] = {}
    show_limits(headers, Admission(SOME))
    requests = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
    }
    assert headers == requests
    tokens = RateAnswer(allowed=True, limit=90_000, remaining=80_500, reset_s=6.333, retry_after_s=0.0)
    show_limits(headers, Admission(SOME, tokens))
    assert headers == requests | {
        "x-ratelimit-limit-tokens": "90000",
        "x-ratelimit-remaining-tokens": "80500",
        "x-ratelimit-reset-tokens": "7s",
    }


@pytest.mark.parametrize(
    "refusal,wait,message",
    [
        (
            Refusal(REQUESTS, PLAN, 20, 2.4),
            "3",
            "Your plan allows 20 requests a minute, and they are used up. Try again in 3 s.",
        ),
        (
            Refusal(TOKENS, KEY, 1000, 0.2),
            "1",
            (
                "Your API key allows 1000 tokens a minute, and fewer are left than this request may use."
                " Try again in 1 s, or give a lower limit for the answer."
            ),
        ),
        (
            Refusal(AT_ONCE, KEY, 2, 1.0),
            "1",
            (
                "Your API key allows 2 requests at the same time, and as many are running."
                " Try again when one of them has ended."
            ),
        ),
    ],
)
def test_a_refusal_names_the_limit_and_whose_it_is(refusal: Refusal, wait: str, message: str) -> None:
    error = refused(refusal)
    assert (error.status, error.type, error.code) == (429, "rate_limit_error", "rate_limit_exceeded")
    assert (error.message, error.headers) == (message, {"retry-after": wait})


def test_time_spans_are_written_as_openai_does() -> None:
    assert [duration(seconds) for seconds in (0, 0.35, 12, 59.2, 90)] == ["0ms", "350ms", "12s", "1m0s", "1m30s"]
