"""The status page, as somebody uses it."""

import re

import httpx
import pytest
import shop
from playwright.sync_api import Browser, Page, Route, expect

from featureplane.serving.app import Server
from patience import PATIENCE


def ask(page: Page, target: str, **keys: str) -> None:
    page.get_by_label("Feature view or service").fill(target)
    for label, value in keys.items():
        page.get_by_role("textbox", name=re.compile(f"^{label} ")).fill(value)
    page.get_by_role("button", name="Ask", exact=True).click()


def cells(page: Page, feature: str) -> list[str]:
    """Value, status and event time of a feature in the answer."""
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=feature, exact=True))
    return row.get_by_role("cell").all_inner_texts()


def row_of(page: Page, view: str):
    return page.get_by_role("row").filter(
        has=page.get_by_role("button", name=f"Ask for an entity of {view}", exact=True)
    )


def test_it_shows_the_server_and_its_stores(page):
    expect(page).to_have_title("feast: feature server")
    state = page.get_by_role("region", name="State")
    expect(state).to_contain_text("1 worker")
    expect(state.get_by_text("Answers", exact=True)).to_have_count(2)
    expect(state).to_contain_text("5,003 feature views")


def test_a_view_shows_its_keys_features_ttl_and_freshness(page):
    row = row_of(page, "commodity_prices")
    expect(row).to_contain_text("commodity String")
    expect(row).to_contain_text("1 d")
    expect(row).to_contain_text("Fresh")
    expect(row).to_contain_text(f"{shop.NOW:%Y-%m-%d}")
    row.get_by_text("5 features").click()
    expect(row.get_by_role("listitem")).to_have_text(list(shop.FEATURES))
    never = row_of(page, "shipments")
    expect(never).to_contain_text("Never expires")
    expect(never).to_contain_text("5 h")


def test_a_view_shows_its_owner_its_tags_and_what_is_deprecated(page):
    row = row_of(page, "shipments")
    expect(row).to_contain_text("owner logistics@example.com")
    expect(row).to_contain_text("domain: freight")
    expect(row).to_contain_text("1 feature deprecated")
    row.get_by_text("1 feature", exact=True).click()
    expect(row.get_by_role("listitem")).to_contain_text(f"deprecated as of 2026-03-31: {shop.HOSTILE}")
    expect(row_of(page, "commodity_prices")).not_to_contain_text("deprecated")


def test_only_the_first_of_thousands_are_made_until_asked_for(page):
    table = page.get_by_role("table", name="Feature views")
    expect(table.get_by_role("rowheader")).to_have_count(50)
    page.get_by_role("button", name="Show 50 more of 5,003").click()
    expect(table.get_by_role("rowheader")).to_have_count(100)
    expect(table.get_by_role("rowheader").nth(50).get_by_role("button")).to_be_focused()


def test_the_filter_finds_views_by_name_key_and_feature(page):
    view_filter = page.get_by_label("Filter").first
    said = page.locator("#views-said")
    for text, found in {
        "view_4321": 1,
        "SHIPMENT_ID": 1,
        "tonnes": 1,
        "LOGISTICS@": 1,
        "freight": 1,
        "deprecated": 1,
        "nothing": 0,
    }.items():
        view_filter.fill(text)
        expect(said).to_have_text(f"{found} of 5,003 match")
    expect(page.get_by_role("table", name="Feature views")).to_have_count(0)


def test_views_can_be_put_in_the_order_of_their_age(page):
    page.get_by_label("Order").select_option("Oldest rows first")
    headers = page.get_by_role("table", name="Feature views").get_by_role("rowheader")
    expect(headers.nth(0)).to_contain_text("shipments")
    expect(headers.nth(1)).to_have_text("commodity_prices")


def test_an_entity_shows_its_values(page):
    ask(page, "commodity_prices", commodity="gold")
    expect(page.get_by_text("5 of 5 features of commodity_prices present")).to_be_visible()
    assert cells(page, "price")[:2] == ["71.5", "PRESENT"]
    assert cells(page, "volume")[0] == str(shop.BIG)
    assert cells(page, "listed")[0] == "true"
    assert cells(page, "history")[0] == "[0.5, 1.0]"
    assert f"{shop.NOW:%Y-%m-%d}" in cells(page, "price")[2]


def test_a_service_and_keys_beyond_javascripts_numbers(page):
    ask(page, "service: price_model", commodity="gold")
    expect(page.get_by_text("5 of 5 features of price_model present")).to_be_visible()
    ask(page, "shipments", shipment_id=str(shop.BIG))
    expect(page.get_by_text("1 of 1 feature of shipments present")).to_be_visible()
    assert cells(page, "tonnes")[0] == "12.0"


def test_what_is_missing_and_what_is_too_old_say_so(page):
    ask(page, "commodity_prices", commodity="tin")
    expect(page.get_by_text("0 of 5 features")).to_be_visible()
    assert cells(page, "price") == ["null", "NOT_FOUND\nnothing is stored", "none"]
    ask(page, "commodity_prices", commodity="silver")
    expect(page.get_by_role("cell", name="OUTSIDE_MAX_AGE").first).to_be_visible()
    value, status, time = cells(page, "price")
    assert (value, status) == ("0.25", "OUTSIDE_MAX_AGE\nolder than the view's ttl")
    assert "3 d" in time


def test_names_and_values_are_shown_and_never_run(page):
    row = row_of(page, shop.HOSTILE)
    expect(row).to_contain_text(shop.HOSTILE)
    row.get_by_role("button").click()
    expect(page.get_by_label("Feature view or service")).to_have_value(shop.HOSTILE)
    ask(page, "commodity_prices", commodity="gold")
    expect(page.get_by_text("5 of 5")).to_be_visible()
    assert cells(page, "name")[0] == shop.HOSTILE
    ask(page, shop.HOSTILE + "x")
    expect(page.get_by_role("status").filter(has_text=shop.HOSTILE + "x")).to_be_visible()
    assert page.locator("img").count() == 0
    expect(page).to_have_title("feast: feature server")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            503,
            '{"message": "Redis cannot be read: gone", "request_id": "ab12"}',
            "503: Redis cannot be read: gone (request ab12)",
        ),
        (404, '"{\\"module\\": \\"feast.errors\\", \\"message\\": \\"no such view\\"}"', "404: no such view"),
        (401, '{"message": "give a bearer token"}', "401: give a bearer token"),
        (500, "<html>", "500: Internal Server Error"),
    ],
)
def test_an_error_of_the_server_is_said_in_its_words(page, complaints, status, body, said):
    page.route("**/get-online-features", lambda route: route.fulfill(status=status, body=body))
    ask(page, "commodity_prices", commodity="gold")
    expect(page.locator("#answer-said")).to_have_text(re.compile(re.escape(f"The server answered {said}")))
    expect(page.locator("#answer")).to_be_empty()
    take_failed_requests(complaints)


def take_failed_requests(complaints: list[str]) -> None:
    """The browser has a line for each request that fails: here they are what the test is about."""
    assert complaints
    assert all(text.startswith("Failed to load resource") for text in complaints), complaints
    complaints.clear()


def test_a_server_that_is_gone_and_back_is_noticed(page, complaints):
    page.route("**/status", lambda route: route.abort())
    page.evaluate("refresh()")
    expect(page.get_by_role("alert")).to_have_text("The server does not answer.")
    expect(page.get_by_role("table", name="Feature views")).to_be_visible()
    page.unroute("**/status")
    page.evaluate("refresh()")
    expect(page.get_by_role("alert")).to_be_empty()
    take_failed_requests(complaints)


def test_a_token_is_asked_for_and_kept_in_the_page_alone(page, complaints):

    def guard(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer s3cret":
            route.continue_()
        else:
            route.fulfill(status=401, body='{"message": "a token is needed"}')

    page.route(re.compile("/status|/get-online-features"), guard)
    page.reload()
    page.get_by_label("Bearer token").fill("s3cret")
    page.get_by_role("button", name="Use it").click()
    page.get_by_role("table", name="Feature views").wait_for()
    ask(page, "commodity_prices", commodity="gold")
    expect(page.get_by_text("5 of 5 features")).to_be_visible()
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert page.context.cookies() == []
    assert "s3cret" not in page.content()
    take_failed_requests(complaints)


def test_a_refresh_keeps_focus_and_what_was_opened(page):
    row = row_of(page, "commodity_prices")
    row.get_by_text("5 features").focus()
    page.keyboard.press("Enter")
    page.evaluate("catalogueTag = ''; refresh()")
    page.wait_for_function("catalogueTag !== ''")
    expect(row.get_by_role("listitem")).to_have_count(5)
    expect(row.locator("summary")).to_be_focused()


def test_the_files_are_cached_by_tag_and_carry_a_strict_policy(server: Server):
    with httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as client:
        for path in ("/", "/page/page.css", "/page/page.js", "/favicon.ico"):
            first = client.get(path)
            policy = first.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            again = client.get(path, headers={"if-none-match": f"W/{first.headers['etag']}"})
            assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
            assert b"commodity" not in first.content


def test_the_catalogue_is_sent_again_only_when_it_changed(server: Server):
    with httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as client:
        tag = client.get("/status/views").headers["etag"]
        assert client.get("/status/views", headers={"if-none-match": tag}).status_code == 304
        assert client.get("/status/views", headers={"if-none-match": '"other"'}).status_code == 200


def test_a_script_that_is_put_into_the_page_does_not_run(chromium: Browser, server: Server):
    page = chromium.new_page()
    page.goto(f"{server.url}/")
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
    )
    assert page.evaluate("window.ran") is None
    page.close()
