"""The playground: a conversation with a model, what it costs while it comes and in the end, and what may go wrong."""

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.looks import OpenPage, Scheme, assert_accessible, assert_fits
from tests.browser.people import MODEL, sign_in
from tests.browser.troubles import Troubles
from tests.support.customers import Customer
from tests.support.stack import until

ASKED = "**/api/playground/chat/completions?*"
EVIL = "acme/<img src=x onerror=alert(1)>"


SetMood = Callable[..., None]


@pytest.fixture(autouse=True)
def mood(upstream: str, troubles: Troubles) -> Iterator[SetMood]:
    """How the upstream answers from now on, until the test ends: `mood(before_token_s=0.1)`. With 16 tokens, or so."""

    def is_now(**script: Any) -> None:
        httpx.post(f"{upstream}/mood", json={"tokens": 16} | script).raise_for_status()

    # What a call cost is asked for until it is known.
    troubles.allow("404 GET /api/usage/")
    is_now()
    yield is_now
    httpx.post(f"{upstream}/mood", json={}).raise_for_status()


def message(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Message", exact=True)


def send(page: Page, text: str) -> None:
    message(page).fill(text)
    message(page).press("Enter")


def answers(page: Page) -> Locator:
    return page.get_by_role("article")


def is_over(page: Page) -> None:
    """Return once nothing is being answered."""
    expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)


def corner(element: Locator) -> tuple[float, float]:
    """Where its upper left corner is."""
    box = element.bounding_box()
    assert box
    return box["x"], box["y"]


def calls(someone: Customer) -> list[dict[str, Any]]:
    """What the usage list has of them, newest first."""
    listed: list[dict[str, Any]] = someone.http.get("/api/usage").json()["items"]
    return listed


def expect_calls(someone: Customer, *statuses: str) -> None:
    """Return once the usage list has these calls and no others, newest first: it hears of a call after its caller."""
    until(lambda: [call["status"] for call in calls(someone)] == list(statuses), what=lambda: str(calls(someone)))


def said_to_upstream(upstream: str, first_message: str) -> list[dict[str, Any]]:
    tally = httpx.get(f"{upstream}/tally", params={"asking": first_message}).json()
    return [entry["body"] for entry in tally.values()]


def test_an_answer_streams_in_and_ends_in_its_exact_charge(signed_in: Page, alice: Customer, mood: SetMood) -> None:
    mood(before_token_s=0.15)
    signed_in.goto(f"/playground?model={MODEL}")
    send(signed_in, "Say tok.")
    answer = answers(signed_in)
    expect(answer).to_contain_text("tok tok")
    expect(answer).to_have_attribute("aria-busy", "true")
    expect(answer).to_contain_text("Tokens about 2 in")
    expect(answer).to_contain_text("Cost about $0.0000")
    is_over(signed_in)
    expect(answer).to_contain_text("tok " * 15 + "tok")
    expect(answer).to_contain_text("Tokens 7 in, 16 out")
    link = answer.get_by_title("How the cost came about")
    expect(link).to_have_text("$0.0000055")
    expect(signed_in.locator("[aria-live=polite]", has_text=f"{MODEL}: tok")).to_have_count(1)
    [call] = calls(alice)
    assert (call["cost_usd"], call["streamed"], call["status"]) == ("0.0000055", True, "success")
    link.click()
    signed_in.wait_for_url(f"/usage?event={call['id']}")


def test_stop_ends_the_call_and_says_what_was_paid(signed_in: Page, alice: Customer, mood: SetMood) -> None:
    mood(before_token_s=0.2, tokens=500)
    signed_in.goto("/playground")
    send(signed_in, "Say tok, and never end.")
    expect(answers(signed_in)).to_contain_text("tok tok")
    signed_in.get_by_role("button", name="Stop", exact=True).click()
    is_over(signed_in)
    expect(answers(signed_in)).to_contain_text("tok tok")
    expect(answers(signed_in)).to_contain_text("Stopped. It cost $0.0000")
    expect_calls(alice, "cancelled")


def test_without_credit_it_says_where_credit_is(signed_in: Page, troubles: Troubles, alice: Customer) -> None:
    troubles.expect("402 POST /api/playground")
    alice.set_balance(0)
    signed_in.goto("/playground")
    send(signed_in, "Hello")
    alert = signed_in.get_by_role("alert")
    expect(alert).to_contain_text("There is no answer")
    expect(alert.get_by_role("link", name="Add credit")).to_have_attribute("href", "/billing")
    alice.set_balance(10**9)
    alert.get_by_role("button", name="Try again").click()
    expect(answers(signed_in)).to_contain_text("Tokens 7 in")
    expect(alert).to_have_count(0)


def test_over_the_limit_it_says_when_to_try_again(signed_in: Page, troubles: Troubles, alice: Customer) -> None:
    troubles.expect("429 POST /api/playground")
    alice.new_key(rpm_limit=1)
    signed_in.goto("/playground")
    send(signed_in, "One")
    expect(answers(signed_in)).to_contain_text("Tokens 7 in")
    send(signed_in, "Two")
    retry = signed_in.get_by_role("alert").get_by_role("button", name="Try again in")
    expect(retry).to_be_disabled()
    expect(retry).to_contain_text(" s")


def test_a_failure_amid_the_answer_is_shown_and_can_be_tried_again(
    signed_in: Page, alice: Customer, mood: SetMood
) -> None:
    mood(cut_after_bytes=1500)
    signed_in.goto("/playground")
    send(signed_in, "Break")
    answer = answers(signed_in)
    alert = answer.get_by_role("alert")
    expect(alert).to_be_visible()
    expect(answer).to_contain_text("tok tok")
    expect(answer.get_by_title("How the cost came about")).to_have_text("$0.00")
    mood()
    alert.get_by_role("button", name="Try again").click()
    expect(answer).to_contain_text("Tokens 7 in, 16 out")
    expect(alert).to_have_count(0)
    expect_calls(alice, "success", "error")


def test_an_answer_that_is_cut_off_says_so_and_what_it_cost(signed_in: Page, mood: SetMood) -> None:
    def cut(route: Route) -> None:
        whole = route.fetch()
        route.fulfill(response=whole, body="\n\n".join(whole.text().split("\n\n")[:6]) + "\n\n")

    signed_in.route(ASKED, cut)
    signed_in.goto("/playground")
    send(signed_in, "Hello")
    alert = answers(signed_in).get_by_role("alert")
    expect(alert).to_contain_text("The answer broke off")
    expect(alert).to_contain_text("It cost $0.0000055.")
    expect(answers(signed_in)).to_contain_text("tok tok")
    expect(alert.get_by_role("button", name="Try again")).to_be_enabled()


def test_messages_are_edited_deleted_asked_anew_and_survive_a_reload(
    signed_in: Page, upstream: str, alice: Customer, mood: SetMood
) -> None:
    mood(tokens=None)
    first = f"Begin {alice.email}"
    signed_in.goto("/playground")
    signed_in.get_by_label("System prompt").fill(first)
    signed_in.get_by_label("Temperature").fill("0.5")
    signed_in.get_by_label("Max tokens").fill("3")
    send(signed_in, "One")
    expect(answers(signed_in)).to_contain_text("Tokens 7 in, 3 out")
    signed_in.get_by_role("button", name="Edit the answer").click()
    signed_in.get_by_role("textbox", name=f"Answer of {MODEL}").fill("What I want it to have said")
    signed_in.get_by_role("button", name="Save").click()
    send(signed_in, "Two")
    expect(answers(signed_in)).to_have_count(2)
    is_over(signed_in)

    signed_in.reload()
    expect(answers(signed_in)).to_have_count(2)
    expect(answers(signed_in).first).to_contain_text("What I want it to have said")
    expect(answers(signed_in).last).to_contain_text("Tokens 7 in, 3 out")
    signed_in.get_by_role("button", name="Regenerate").click()
    is_over(signed_in)
    expect(answers(signed_in).last).to_contain_text("Tokens 7 in, 3 out")
    asked = said_to_upstream(upstream, first)
    assert [body["messages"][1:] for body in asked[1:]] == 2 * [
        [
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": "What I want it to have said"},
            {"role": "user", "content": "Two"},
        ]
    ]
    assert {(body["temperature"], body["max_tokens"], "top_p" in body, "stop" in body) for body in asked} == {
        (0.5, 3, False, False)
    }

    signed_in.get_by_role("button", name="Delete your message and its answers").first.click()
    expect(answers(signed_in)).to_have_count(1)
    signed_in.get_by_role("button", name="Undo").click()
    expect(answers(signed_in)).to_have_count(2)
    signed_in.get_by_role("button", name="Edit your message").first.click()
    signed_in.get_by_role("textbox", name="Your message").fill("One more")
    signed_in.get_by_role("button", name="Send again").click()
    expect(answers(signed_in)).to_have_count(1)
    is_over(signed_in)
    signed_in.get_by_role("button", name="Clear").click()
    signed_in.get_by_role("dialog").get_by_role("button", name="Clear").click()
    expect(answers(signed_in)).to_have_count(0)
    signed_in.reload()
    expect(signed_in.get_by_text("Nothing said yet")).to_be_visible()


def test_two_models_answer_side_by_side_each_with_its_own_figures(signed_in: Page, alice: Customer) -> None:
    signed_in.goto("/playground")
    signed_in.get_by_role("button", name="Compare with another model").click()
    send(signed_in, "Compare")
    expect(answers(signed_in)).to_have_count(2)
    for index in (0, 1):
        expect(answers(signed_in).nth(index)).to_contain_text("Tokens 7 in, 16 out")
        expect(answers(signed_in).nth(index).get_by_title("How the cost came about")).to_have_text("$0.0000055")
    left, right = (corner(answers(signed_in).nth(index)) for index in (0, 1))
    assert (left[0] < right[0], left[1]) == (True, right[1])
    expect_calls(alice, "success", "success")
    signed_in.set_viewport_size({"width": 390, "height": 844})

    def stacked() -> bool:
        above, below = (corner(answers(signed_in).nth(index)) for index in (0, 1))
        return above[0] == below[0] and above[1] < below[1]

    until(stacked, what=lambda: "the answers do not stand below each other")


def test_the_code_makes_the_very_same_call(signed_in: Page, upstream: str, alice: Customer, mood: SetMood) -> None:
    mood(tokens=None)
    asking = f'It\'s "{alice.email}"\nwith $HOME and `x` \\'
    signed_in.goto("/playground")
    signed_in.get_by_label("Max tokens").fill("3")
    message(signed_in).fill(asking)
    signed_in.get_by_role("button", name="Code", exact=True).click()
    dialog = signed_in.get_by_role("dialog")
    curl = dialog.locator("code").inner_text()
    assert alice.key not in curl
    done = subprocess.run(
        ["bash", "-c", curl],
        env={"PATH": "/usr/bin:/bin", "PR_KEY": alice.key},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("data: [DONE]\n\n"), done
    dialog.get_by_text("Python").click()
    compile(dialog.locator("code").inner_text(), "playground.py", "exec")
    signed_in.keyboard.press("Escape")
    message(signed_in).press("Control+Enter")
    expect(answers(signed_in)).to_contain_text("Tokens 7 in, 3 out")
    copied, sent = said_to_upstream(upstream, asking)
    assert copied == sent


def test_names_with_html_in_them_are_text(signed_in: Page, troubles: Troubles, alice: Customer) -> None:
    troubles.expect("404 POST /api/playground")
    alice.new_key(name="<b>bold</b>")

    def with_evil(route: Route) -> None:
        listed = route.fetch().json()
        for item in listed["items"]:
            if "allowed_models" in item:
                item["all_models"] = True
        if "public_name" in listed["items"][0]:
            listed["items"].append(listed["items"][0] | {"public_name": EVIL, "kind": "chat"})
        route.fulfill(json=listed)

    signed_in.route("**/api/models", with_evil)
    signed_in.route("**/api/plans", with_evil)
    signed_in.goto("/playground")
    signed_in.get_by_role("combobox", name="Model", exact=True).click()
    signed_in.get_by_role("option", name=EVIL).click()
    send(signed_in, "<script>alert(2)</script>")
    expect(signed_in.get_by_role("alert")).to_contain_text(EVIL)
    expect(answers(signed_in)).to_contain_text(EVIL)
    expect(signed_in.get_by_text("<script>alert(2)</script>")).to_be_visible()
    expect(signed_in.locator("img[src=x], #content script, #content b")).to_have_count(0)
    assert signed_in.evaluate("() => new URL(location.href).searchParams.get('model')") == EVIL


def test_reasoning_is_folded(signed_in: Page, mood: SetMood) -> None:
    mood(reasoning=True)
    signed_in.goto("/playground")
    send(signed_in, "Think")
    fold = signed_in.get_by_role("button", name="Reasoning")
    expect(fold).to_have_attribute("aria-expanded", "false")
    is_over(signed_in)
    expect(answers(signed_in)).not_to_contain_text("tok tok")
    fold.click()
    expect(answers(signed_in)).to_contain_text("tok tok")


def test_whoever_has_no_key_is_offered_one(signed_in: Page, alice: Customer) -> None:
    for key in alice.http.get("/api/keys").json()["items"]:
        alice.http.request("DELETE", f"/api/keys/{key['id']}").raise_for_status()
    signed_in.goto("/playground")
    create = signed_in.get_by_role("button", name="Create a key named Playground")
    create.wait_for()
    assert_accessible(signed_in)
    create.click()
    send(signed_in, "Hello")
    expect(answers(signed_in)).to_contain_text("Tokens 7 in, 16 out")


def test_a_model_that_is_not_allowed_is_named(signed_in: Page) -> None:
    signed_in.goto("/playground?model=privaterouter/qwen-pro")
    expect(signed_in.get_by_text("does not allow privaterouter/qwen-pro")).to_be_visible()
    message(signed_in).fill("Hello")
    expect(signed_in.get_by_role("button", name="Send")).to_be_disabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_keeps_nobody_out(open_page: OpenPage, alice: Customer, scheme: Scheme) -> None:
    page = sign_in(open_page(scheme=scheme), alice)
    page.goto("/playground")
    page.get_by_text("Nothing said yet").wait_for()
    assert_accessible(page)
    send(page, "Hello")
    expect(answers(page)).to_contain_text("Tokens 7 in, 16 out")
    expect(answers(page).get_by_title("How the cost came about")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("button", name="Code", exact=True).click()
    page.get_by_role("dialog").wait_for()
    assert_accessible(page)


@pytest.mark.parametrize("width", [360, 390])
def test_it_fits_a_phone(open_page: OpenPage, alice: Customer, width: int) -> None:
    phone = open_page(width=width, height=844, touch=True)
    sign_in(phone, alice).goto("/playground")
    phone.get_by_role("button", name="Model", exact=True).tap()
    phone.get_by_role("button", name="Compare with another model").tap()
    assert_accessible(phone)
    phone.get_by_role("dialog").get_by_role("button", name="Close").tap()
    send(phone, "W" * 300)
    expect(answers(phone)).to_have_count(2)
    is_over(phone)
    assert_fits(phone)
    assert_accessible(phone)
