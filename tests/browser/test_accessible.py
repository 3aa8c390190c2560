"""The page for everybody: by keyboard alone, in light and dark, on a narrow screen, to a screen reader."""

from pathlib import Path

import pytest
import shop
from playwright.sync_api import Browser, Page, expect

from featureplane.serving.app import Server

AUDIT = Path(__file__).with_name("audit.js").read_text()
# For those who want to see what the tests saw.
SHOTS = Path("build/browser")


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_audit_finds_nothing(chromium: Browser, server: Server, scheme, width):
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{server.url}/")
    page.get_by_role("table", name="Feature views").wait_for()
    for commodity, count in {"tin": 0, "gold": 5}.items():
        page.get_by_label("Feature view or service").fill("commodity_prices")
        page.get_by_role("textbox", name="commodity String").fill(commodity)
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.get_by_text(f"{count} of 5 features")).to_be_visible()
        assert page.evaluate(AUDIT) == []
    page.get_by_text("5 features", exact=True).first.click()
    page.evaluate("trouble('The server answered 503.'); at('access').hidden = false; say('It is gone.', true)")
    assert page.evaluate(AUDIT) == []
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(
        path=SHOTS / f"{scheme}-{width}.png", clip={"x": 0, "y": 0, "width": width, "height": 1800}, full_page=True
    )
    context.close()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("at('version').style.color = '#999'", "text has a contrast of 2.85"),
        ("document.querySelector('label[for=target]').remove()", "no label: input#target"),
        ("document.querySelector('th').scope = ''", "a heading without scope"),
        ("document.querySelector('tbody th').scope = ''", "a row without a heading"),
        ("at('main').style.minWidth = '3000px'", "pixels wide"),
        ("at('ask').querySelector('button').textContent = ''", "no name: button"),
    ],
)
def test_the_audit_finds_what_is_wrong(page, change, found):
    page.evaluate(change)
    assert any(found in each for each in page.evaluate(AUDIT))


def test_everything_can_be_done_by_keyboard(page: Page):
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Feature view or service")).to_be_focused()
    page.keyboard.type("commodity_prices")
    page.keyboard.press("Tab")
    expect(page.get_by_role("textbox", name="commodity String")).to_be_focused()
    page.keyboard.type("gold")
    page.keyboard.press("Enter")
    expect(page.get_by_text("5 of 5 features")).to_be_visible()
    for expected in (page.get_by_role("button", name="Ask", exact=True), page.get_by_label("Filter").first):
        page.keyboard.press("Tab")
        expect(expected).to_be_focused()
        outline = expected.evaluate("node => getComputedStyle(node).outlineWidth")
        assert outline == "3px"
    page.keyboard.type("shipments")
    expect(page.get_by_role("table", name="Feature views").get_by_role("rowheader")).to_have_count(1)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Ask for an entity of shipments")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="shipment_id Int64")).to_be_focused()
    page.keyboard.type(str(shop.BIG))
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 of 1 feature of shipments present")).to_be_visible()


def test_what_happens_is_said_to_a_screen_reader(page: Page):
    said = page.get_by_role("status")
    page.get_by_label("Filter").first.fill("shipments")
    expect(said.filter(has_text="1 of 5,003 match")).to_have_count(1)
    page.get_by_label("Feature view or service").fill("shipments")
    page.get_by_role("textbox", name="shipment_id").fill("1")
    page.keyboard.press("Enter")
    expect(said.filter(has_text="0 of 1 feature of shipments present")).to_have_count(1)


def test_a_table_stays_one_on_a_narrow_screen(chromium: Browser, server: Server):
    page = chromium.new_page(viewport={"width": 360, "height": 800})
    page.goto(f"{server.url}/")
    table = page.get_by_role("table", name="Feature views")
    table.wait_for()
    row = table.get_by_role("row", name="shipments")
    expect(row.get_by_role("cell")).to_have_count(5)
    expect(row.get_by_role("cell").first).to_be_visible()
    page.close()
