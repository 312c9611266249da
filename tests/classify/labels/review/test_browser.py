"""The page in a real browser: Chromium without a window, driven by Playwright, with a real server."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from maskcls.classify.labels.audit.issues import LabelIssue, write_issues
from maskcls.embedder.faceset.corrections import read_patch

from ...pages import Server, opened_page

GONE = 58


@pytest.fixture(scope="module")
def patch_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decisions of the whole module: every test looks at faces of its own."""
    return tmp_path_factory.mktemp("review") / "decisions.csv"


@pytest.fixture(scope="module")
def audit(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Issues with faces 40 to 43."""
    near = " ".join(f"{face_id}:37:0.9" for face_id in table["face_id"][:3])
    text = "its nearest faces are older"
    issues = [LabelIssue("label", (39 + i,), "age", "37", f"{50 + i}", 0.9, text, near) for i in (1, 2, 3, 4)]
    folder = tmp_path_factory.mktemp("audit")
    write_issues(folder, issues, table)
    return folder


@pytest.fixture(scope="module")
def server(browser: Browser, review_faces: Path, patch_file: Path, audit: Path) -> Iterator[Server]:
    """The server of the module; the browser comes first, so that none is started in vain."""
    started = Server("review", "--no-open", review_faces, "--audit", audit, "--decisions", patch_file)
    yield started
    started.kill()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page at a fresh start."""
    with opened_page(browser, server, 900, 700) as opened:
        expect(opened.locator("#count")).to_have_text("60 faces")
        opened.click("#tab-faces")
        yield opened


def lines(patch: Path, table: pd.DataFrame, row: int) -> dict[str, str]:
    """Field -> new label of a face in the decisions."""
    found = read_patch(patch)
    mine = found[found["face_id"] == table["face_id"][row]]
    return dict(zip(mine["field"], mine["new"], strict=True))


def choose(page: Page, row: int) -> None:
    """Find a face and make it the current one."""
    page.fill("#search", f"{row:02} é")
    expect(page.locator("#count")).to_contain_text("of 60 faces")
    page.locator(f"#face-{row}").click()
    expect(page.locator(f"#face-{row}")).to_have_class(re.compile("current"))


def test_open_relabel_by_keyboard_and_reload(page: Page, server: Server, patch_file: Path, table: pd.DataFrame) -> None:
    assert page.url == server.url.partition("?")[0]
    choose(page, 4)
    for key in ("3", "m", "a"):  # was wear, female, 20
        page.keyboard.press(key)
    cell = page.locator("#face-4")
    expect(cell.locator(".confirmed")).to_have_text("20")
    assert cell.locator(".caption").inner_text().split() == ["normal", "m", "20"]
    assert lines(patch_file, table, 4) == {"mask": "normal", "gender": "male", "age": "20"}
    page.reload()
    page.click("#tab-faces")
    expect(page.locator("#face-4 .mark")).to_have_text("✎")
    choose(page, 4)
    page.keyboard.press("c")
    expect(page.locator("#face-4 .mark")).to_have_text("")
    page.keyboard.press("z")
    expect(page.locator("#face-4 .mark")).to_have_text("✎")
    assert lines(patch_file, table, 4) == {"mask": "normal", "gender": "male", "age": "20"}


def test_reject_and_undo(page: Page, patch_file: Path, table: pd.DataFrame) -> None:
    choose(page, 8)
    page.keyboard.press("r")
    expect(page.locator("#face-8 .caption")).to_have_text("rejected")
    assert lines(patch_file, table, 8) == {"mask": "", "gender": "", "age": ""}
    page.keyboard.press("u")
    expect(page.locator("#face-8 .mark")).to_have_text("")
    assert lines(patch_file, table, 8) == {}


def test_an_age_is_typed(page: Page, patch_file: Path, table: pd.DataFrame) -> None:
    choose(page, 9)
    page.keyboard.press("g")
    page.keyboard.type("60+")
    page.keyboard.press("Enter")
    expect(page.locator("#face-9 .new")).to_have_text("60-100")
    assert lines(patch_file, table, 9) == {"age": "60-100"}
    page.keyboard.press("g")
    page.keyboard.type("old")
    page.keyboard.press("Enter")
    expect(page.locator("#message")).to_contain_text("'old' is neither years (37) nor a band (30-39)")
    assert lines(patch_file, table, 9) == {"age": "60-100"}


def test_several_faces_and_a_whole_person(page: Page, patch_file: Path, table: pd.DataFrame) -> None:
    page.select_option("#group", "person")
    choose(page, 12)
    page.fill("#search", "")
    expect(page.locator("#count")).to_have_text("60 faces")
    page.locator("#grid").focus()
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#selected")).to_have_text("2 selected")
    page.keyboard.press("2")
    expect(page.locator("#face-13 .mark")).to_have_text("✓")
    assert [lines(patch_file, table, row) for row in (12, 13, 14)] == [{"mask": "incorrect"}] * 2 + [{}]
    page.keyboard.press("w")
    expect(page.locator("#selected")).to_have_text("4 selected")
    page.keyboard.press("f")
    expect(page.locator("#face-15 .mark")).to_have_text("✎")
    assert [lines(patch_file, table, row).get("gender") for row in (11, 12, 13, 14, 15, 16)] == [
        None, "female", "female", "female", "female", None,
    ]  # fmt: skip
    page.locator("#face-18").click()
    page.locator("#face-19").click(modifiers=["Shift"])
    expect(page.locator("#selected")).to_have_text("2 selected")
    page.keyboard.press("Escape")
    expect(page.locator("#selected")).to_have_text("")


def test_paging_keeps_the_document_small(page: Page) -> None:
    page.set_viewport_size({"width": 400, "height": 500})
    page.select_option("#group", "", force=True)
    page.locator("#grid").focus()
    page.keyboard.press("Home")
    expect(page.locator("#face-0")).to_be_in_viewport()
    seen = set()
    for _ in range(30):
        page.keyboard.press("PageDown")
        seen.add(page.locator(".cell.current").get_attribute("id"))
        assert page.locator("#sheet .cell").count() < 45
    assert len(seen) > 5
    page.keyboard.press("End")
    expect(page.locator("#face-59")).to_be_in_viewport()
    assert page.locator("#face-0").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_a_missing_photo_says_why(page: Page) -> None:
    choose(page, GONE)
    expect(page.locator(f"#face-{GONE} img")).to_have_js_property("naturalWidth", 160)


def test_issues(page: Page, patch_file: Path, table: pd.DataFrame) -> None:
    page.click("#tab-issues")
    page.keyboard.press("ArrowDown")
    for place, key in enumerate("par"):
        expect(page.locator(f"#issue-{place}")).to_have_class(re.compile("current"))
        page.keyboard.press(key)
    expect(page.locator("#issue-3")).to_have_class(re.compile("current"))
    assert lines(patch_file, table, 40) == {"age": "51"}
    assert lines(patch_file, table, 41) == {"age": "37"}
    assert lines(patch_file, table, 42) == {"mask": "", "gender": "", "age": ""}
    patch = read_patch(patch_file)
    assert patch.loc[patch["new"] == "51", "probability"].tolist() == ["0.9"]


def test_nearest_faces_and_the_person(page: Page) -> None:
    choose(page, 20)
    page.keyboard.press("Enter")
    panel = page.locator("#panel")
    expect(panel).to_contain_text("Person p05: 4 photos")
    near = panel.locator(".strip").first.locator(".cell")
    expect(near).to_have_count(24)
    row = near.first.get_attribute("data-row")
    near.first.click()
    expect(panel.locator(".facts strong")).to_have_text(re.compile(rf"/{int(row or -1):02} é\.png"))
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_the_map_opens_a_face(page: Page) -> None:
    page.click("#tab-map")
    expect(page.locator("#map-about")).to_contain_text("principal components")
    expect(page.locator("#map-legend li")).to_have_count(4)
    box = page.locator("#map-canvas").bounding_box()
    plane = page.evaluate("fetch('/api/map').then(answer => answer.json())")
    assert box
    x = box["x"] + 24 + (box["width"] - 48) * plane["x"][30] / 4000
    y = box["y"] + 24 + (box["height"] - 48) * (1 - plane["y"][30] / 4000)
    page.mouse.move(x, y)
    expect(page.locator("#map-hint")).to_be_visible()
    page.mouse.click(x, y)
    expect(page.locator("#panel")).to_be_visible()


def test_filters_and_groups(page: Page) -> None:
    page.select_option("#mask", label="wear (15)")
    expect(page.locator("#count")).to_have_text("15 of 60 faces")
    page.select_option("#group", "gender")
    expect(page.locator("#sheet .heading")).to_have_text(["male (5)", "female (5)", "gender unknown (5)"])
    page.fill("#search", "P02")
    expect(page.locator("#count")).to_have_text("1 of 60 faces")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#face-8")).to_have_class(re.compile("current"))
    assert page.input_value("#search") == "P02"
    page.fill("#search", "P02 nobody")
    expect(page.locator("#nothing")).to_be_visible()


def test_without_the_token(browser: Browser, server: Server, page: Page) -> None:
    context = browser.new_context()
    stranger = context.new_page()
    answer = stranger.goto(page.url)
    assert answer is not None
    assert answer.status == 403
    context.close()


def test_a_kill_loses_nothing(
    page: Page, server: Server, browser: Browser, review_faces: Path, patch_file: Path, table: pd.DataFrame
) -> None:
    choose(page, 24)
    page.keyboard.press("1")
    expect(page.locator("#face-24 .mark")).to_have_text("✓")
    server.stop(signal.SIGKILL)
    assert lines(patch_file, table, 24) == {"mask": "wear"}
    page.keyboard.press("2")
    expect(page.locator("#message")).to_contain_text("the server does not answer")
    again = Server("review", "--no-open", review_faces, "--decisions", patch_file)
    other = browser.new_page()
    other.goto(again.url)
    choose(other, 24)
    expect(other.locator("#face-24 .mark")).to_have_text("✓")
    other.close()
    assert f"apply with `maskcls relabel {review_faces} --patch {patch_file}`" in again.stop(signal.SIGINT)
    assert again.process.returncode == 0
