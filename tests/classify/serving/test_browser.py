"""The page in a real browser: Chromium without a window, driven by Playwright, with a real server and a real model."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ..pages import Server, opened_page
from .conftest import TOKEN


@pytest.fixture(scope="module")
def server(browser: Browser, model_folder: Path) -> Iterator[Server]:
    """The server of the module, with a token; the browser comes first, so that none is started in vain."""
    started = Server("serve", "--model", model_folder, "--port", "0", token=TOKEN)
    yield started
    started.kill()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page on a phone."""
    with opened_page(browser, server, 400, 800) as opened:
        expect(opened.locator("#about")).to_contain_text("nearest of")
        yield opened


def fits(page: Page) -> bool:
    """Whether nothing is wider than the phone."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_a_photo_and_what_is_none(page: Page, server: Server, portrait: Path, tmp_path: Path) -> None:
    assert page.url == server.url.partition("?")[0]
    text = tmp_path / "letter.jpg"
    text.write_text("not a photo")
    page.set_input_files("#files", [portrait, text])
    face, letter = page.locator("article", has_text=portrait.name), page.locator("article", has_text="letter.jpg")
    expect(face).to_have_attribute("data-status", "ok", timeout=60_000)
    expect(face.locator(".answer")).to_have_text(
        re.compile(r"(no mask|mask worn.*) · (male|female) · (under 30|30-59|60 or older)")
    )
    expect(face.locator(".years")).to_have_text(re.compile(r"about \d+ years, 80 % between \d+ and \d+"))
    expect(face.locator(".bars .p")).to_have_count(8)
    expect(face.locator("img")).to_have_js_property("complete", True)
    assert face.locator("img").evaluate("image => image.naturalWidth") > 0
    face.locator("summary").click()
    expect(face.locator("tbody tr")).to_have_count(10)
    expect(letter).to_have_attribute("data-status", "unreadable")
    expect(letter.locator(".note")).to_contain_text("not a photo")
    expect(letter.locator("figure")).to_have_text("no picture")
    assert fits(page)
    page.click("#clear")
    expect(page.locator("article")).to_have_count(0)


def test_dropped_photos(page: Page) -> None:
    page.evaluate(
        """() => {
          const files = new DataTransfer();
          files.items.add(new File(["x"], "one.png", { type: "image/png" }));
          document.dispatchEvent(new DragEvent("dragenter", { dataTransfer: files, bubbles: true, cancelable: true }));
        }"""
    )
    expect(page.locator("#drop")).to_have_class("over")
    page.evaluate(
        """() => {
          const files = new DataTransfer();
          const add = name => files.items.add(new File(["x"], name, { type: "image/png" }));
          ["one.png", "<b>two</b>.png"].forEach(add);
          document.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
        }"""
    )
    expect(page.locator("article")).to_have_count(2)
    expect(page.locator("article h2").first).to_have_text("<b>two</b>.png")
    for place in (0, 1):
        expect(page.locator("article").nth(place)).to_have_attribute("data-status", "unreadable")
    expect(page.locator("#drop")).not_to_have_class("over")


def test_the_camera(page: Page) -> None:
    page.click("#camera-open")
    expect(page.locator("#video")).not_to_have_js_property("videoWidth", 0)
    assert fits(page)
    page.click("#take")
    expect(page.locator("#camera")).not_to_be_visible()
    card = page.locator("article")
    expect(card).to_have_attribute("data-status", re.compile("ok|no_face"), timeout=60_000)  # Chromium's test pattern
    assert card.locator("img").evaluate("image => image.naturalWidth") > 100
    assert page.evaluate("document.getElementById('video').srcObject") is None


def test_a_photo_that_is_too_large_is_not_sent(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.evaluate(
        """() => {
          const files = new DataTransfer();
          files.items.add(new File([new Uint8Array(33 * 2 ** 20)], "large.png", { type: "image/png" }));
          document.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
        }"""
    )
    expect(page.locator(".note")).to_have_text("larger than 32 MiB")
    assert "POST" not in sent


def test_without_the_token(browser: Browser, server: Server, page: Page) -> None:
    context = browser.new_context()
    answer = context.new_page().goto(page.url)
    assert answer is not None
    assert answer.status == 403
    context.close()


def test_a_server_that_ended(page: Page, server: Server, portrait: Path) -> None:
    server.stop(signal.SIGINT)
    assert server.process.returncode == 0
    page.set_input_files("#files", portrait)
    expect(page.locator(".note")).to_have_text("the server does not answer")
