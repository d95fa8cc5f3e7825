"""The page in a real browser, desktop and phone: from picking photos to the downloaded bytes."""

import logging
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, TimeoutError, expect, sync_playwright

from photo.apply_ab import apply_ab
from photo.decoding import decode_photo
from photo.encoding import encode_photo
from serving.client import ColoringOptions, Colorizer, ConnectionOptions, Hint
from serving.web.settings import Limits, WebSettings
from tests.external_tools import CHROMIUM
from tests.photo.test_formats import heic
from tests.serving.web.conftest import serving
from tests.serving.wire_server import WireServer, running

pytestmark = [pytest.mark.slow, pytest.mark.browser]

expect.set_options(timeout=30_000)  # the browser shares two cores with other tests

DESKTOP = {"viewport": {"width": 1280, "height": 860}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}


def pixels(encoded: bytes) -> list[list[list[int]]]:
    """The pixels of a result; its metadata name the second in which it was coloured."""
    return decode_photo(encoded).rgb.tolist()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def model_server_of_module() -> Iterator[WireServer]:
    with running(WireServer(has_variants=True, has_guided=True, stride=32)) as server:
        yield server


@pytest.fixture(scope="module")
def gateway_of_module(model_server_of_module) -> Iterator[str]:
    with serving(WebSettings(), model_server_of_module.address) as address:
        yield address


@pytest.fixture
def model_server(model_server_of_module) -> Iterator[WireServer]:
    yield model_server_of_module
    model_server_of_module.failures.clear()
    model_server_of_module.released.set()


@pytest.fixture
def open_page(browser, model_server, gateway_of_module) -> Iterator[Callable[..., Page]]:
    """Open the page of a gateway, of one with these settings; what the browser complains of fails the test."""
    with ExitStack() as stack:

        def start(look: dict = DESKTOP, settings: WebSettings | None = None, **options) -> Page:
            address = gateway_of_module
            if settings is not None or options:
                address = stack.enter_context(serving(settings or WebSettings(), model_server.address, **options))
            context = browser.new_context(base_url=address, reduced_motion="reduce", **look)
            stack.callback(context.close)
            context.set_default_timeout(30_000)
            page = context.new_page()
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda line: complaints.append(line.text) if "Content Security" in line.text else None)
            page.goto("/")
            expect(page.locator("html[dir]")).to_be_attached()  # the script has its words and listens
            return page

        complaints: list[str] = []
        yield start
        assert not complaints


@pytest.fixture(scope="module")
def album(tmp_path_factory) -> list[Path]:
    """Two gray photographs of real places and things."""
    from skimage import data

    folder = tmp_path_factory.mktemp("album")
    for name, pixels in (("cat.jpg", data.chelsea()), ("coffee.png", data.coffee())):
        gray = np.repeat(pixels.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
        (folder / name).write_bytes(encode_photo(gray, "JPEG" if name.endswith("jpg") else "PNG"))
    return sorted(folder.iterdir())


def colour_all(page: Page, count: int) -> None:
    page.locator("#colour").click()
    expect(page.locator(".thumb[data-state=done]")).to_have_count(count)
    expect(page.locator("#compare")).to_be_visible()


@pytest.mark.parametrize("look", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_photos_are_picked_coloured_compared_adjusted_and_saved(open_page, model_server, album, look, tmp_path):
    page = open_page(look)
    expect(page.get_by_role("heading", level=1)).to_contain_text("see it in")
    page.locator("#picker").set_input_files(album)
    expect(page.locator("#before")).to_be_visible()
    assert page.locator("#before").evaluate("image => image.decode().then(() => image.naturalWidth)") == 451
    expect(page.locator("#photo-facts")).to_contain_text("451 × 300")
    expect(page.locator("#colour")).to_have_text("Colour 2 photos")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    model_server.released.clear()
    page.locator("#colour").click()
    expect(page.locator("#stage-text")).to_have_text("Finding colours …")
    expect(page.locator("#compare")).to_be_hidden()
    model_server.released.set()
    expect(page.locator(".thumb[data-state=done]")).to_have_count(2)
    expect(page.locator("#announcer")).to_have_text("2 of 2 in colour.")

    # The coloured photo lies over the gray one, and the slider uncovers it.
    expect(page.locator("#after")).to_be_visible()
    page.locator("#compare").fill("20")
    expect(page.locator("#after")).to_have_css("clip-path", "inset(0px 0px 0px 20%)")
    expect(page.locator("#compare")).to_have_attribute("aria-valuetext", "80 percent in colour")

    with page.expect_response(lambda answer: "variant=2" in answer.url and "side=1600" in answer.url):
        page.get_by_label("Colouring 3 of 4").check(force=True)
    with page.expect_response(lambda answer: "strength=0.5" in answer.url):
        page.locator("#strength").fill("50")
    expect(page.locator("#strength-value")).to_have_text("50%")
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "cat-coloured.jpg"
    download.value.save_as(tmp_path / "saved.jpg")
    with Colorizer(model_server.address) as colorizer:
        ab = [colorizer.find_ab(photo, 4) for photo in album]
    expected = apply_ab(album[0].read_bytes(), ab[0][2], ColoringOptions(strength=0.5))
    assert pixels((tmp_path / "saved.jpg").read_bytes()) == pixels(expected)

    with page.expect_download() as download:
        page.locator("#download-all").click()
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.namelist() == ["cat-coloured.jpg", "coffee-coloured.png"]
        assert pixels(archive.read("cat-coloured.jpg")) == pixels(expected)
        assert pixels(archive.read("coffee-coloured.png")) == pixels(apply_ab(album[1].read_bytes(), ab[1][0]))


def test_any_number_of_photos_is_coloured_and_the_zip_holds_what_the_page_shows(
    open_page, model_server, album, tmp_path
):
    gray = decode_photo(album[0].read_bytes()).rgb[::3, ::3]
    photos = [tmp_path / f"{number}.png" for number in range(5)]
    for photo in photos:
        photo.write_bytes(encode_photo(gray, "PNG"))
    page = open_page(settings=WebSettings(Limits(photos=2)))  # so many in a job
    page.locator("#picker").set_input_files(photos)
    colour_all(page, 5)
    expect(page.locator("#announcer")).to_have_text("5 of 5 in colour.")

    # All in one breath: no choice has been sent when the download is asked for.
    page.locator("li:nth-child(5) .thumb").click()
    expect(page.locator("#compare")).to_be_visible()
    with page.expect_download() as download:
        page.evaluate(
            """() => {
                const strength = document.getElementById("strength");
                strength.value = "50";
                strength.dispatchEvent(new Event("input"));
                document.querySelector("[name=variant][value='2']").click();
                document.getElementById("download-all").click();
            }"""
        )
    with Colorizer(model_server.address) as colorizer:
        ab = colorizer.find_ab(photos[4], 4)
    chosen = apply_ab(photos[4].read_bytes(), ab[2], ColoringOptions(strength=0.5))
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.namelist() == [f"{number}-coloured.png" for number in range(5)]
        assert pixels(archive.read("4-coloured.png")) == pixels(chosen)


def test_zips_and_folders_are_opened_and_what_is_left_out_is_said(open_page, album, tmp_path):
    folder = tmp_path / "shoebox"
    (folder / "trip").mkdir(parents=True)
    (folder / "trip" / "coffee.png").write_bytes(album[1].read_bytes())
    (folder / "letter.txt").write_text("Dear all")
    with zipfile.ZipFile(tmp_path / "album.zip", "w") as archive:
        archive.write(album[0], "cat.jpg")
        archive.writestr("list.csv", "1;2")
        archive.writestr("inner.zip", "PK")
    page = open_page()
    page.locator("#picker").set_input_files(tmp_path / "album.zip")
    expect(page.locator("#no-preview")).to_have_text("A ZIP. Its photos appear here when it has been sent.")
    page.locator("#folder-picker").set_input_files(folder)
    expect(page.get_by_role("alert")).to_contain_text("1 other file is no photo.")
    colour_all(page, 2)
    expect(page.locator(".thumb-name")).to_have_text(["cat.jpg", "inner.zip", "album.zip", "coffee.png"])
    for number, words in ((2, "an archive inside an archive"), (3, "1 other file is no photograph: 1 .csv.")):
        page.locator(f"li:nth-child({number}) .thumb").click()
        expect(page.locator("#photo-problem")).to_contain_text(words, ignore_case=True)


def test_a_photo_that_keeps_its_colours_keeps_them_when_it_is_sent_again(open_page, tmp_path):
    from skimage import data

    (tmp_path / "chelsea.png").write_bytes(encode_photo(data.chelsea(), "PNG"))
    page = open_page()
    page.locator("#picker").set_input_files(tmp_path / "chelsea.png")
    with page.expect_response("**/api/jobs?*") as created:
        colour_all(page, 1)
    page.get_by_label("Keep its own colours").check()
    expect(page.locator(".thumb-state")).to_have_text("Left as it is")
    page.request.delete(created.value.headers["location"])
    page.locator("#picker").set_input_files(tmp_path / "chelsea.png")
    with page.expect_request(lambda request: "color_photos=skip" in request.url):
        page.locator("#colour").click()  # finds out that the job is gone
        page.locator("#notice-retry").click()
    expect(page.locator(".thumb-state").first).to_have_text("Left as it is")


def test_on_a_phone_a_swipe_scrolls_a_tapped_photo_comes_into_view_and_the_button_stays(open_page, album):
    page = open_page(PHONE)
    page.locator("#picker").set_input_files(album * 4)
    colour_all(page, 8)
    drag = """([dx, dy, last]) => {
        const frame = document.getElementById("frame"), box = frame.getBoundingClientRect();
        const at = (kind, x, y) => frame.dispatchEvent(new PointerEvent(kind, {
            bubbles: true, isPrimary: true, pointerType: "touch", clientX: box.left + x, clientY: box.top + y }));
        at("pointerdown", box.width / 4, 40);
        for (const part of [0.5, 1]) at("pointermove", box.width / 4 + part * dx, 40 + part * dy);
        at(last, box.width / 4 + dx, 40 + dy);
    }"""
    page.evaluate(drag, [5, 200, "pointercancel"])
    expect(page.locator("#compare")).to_have_value("50")
    page.evaluate(drag, [60, 5, "pointerup"])
    expect(page.locator("#compare")).not_to_have_value("50")

    def is_in_view(selector: str) -> bool:
        box = page.locator(selector).bounding_box()
        return box is not None and box["y"] >= 0 and box["y"] + box["height"] <= PHONE["viewport"]["height"]

    page.locator("#strength").scroll_into_view_if_needed()
    assert is_in_view("#download")
    page.locator("li:nth-child(8) .thumb").tap()
    expect(page.locator("#photo-name")).to_have_text(album[1].name)
    expect(page.locator("#viewer")).to_be_in_viewport(ratio=0.9)


def test_everything_can_be_done_with_the_keyboard_alone(open_page, album):
    page = open_page()

    def press_until_focused(selector: str, key: str = "Tab") -> None:
        for _ in range(30):
            if page.locator(selector).evaluate("element => element === document.activeElement"):
                return
            page.keyboard.press(key)
        raise AssertionError(f"the keyboard does not lead to {selector}")

    press_until_focused("#picker")
    for last_try in (False, False, True):  # a browser that has just started may miss the first key
        try:
            with page.expect_file_chooser(timeout=8_000) as chooser:
                page.keyboard.press("Enter")
            break
        except TimeoutError:
            if last_try:
                raise
    chooser.value.set_files(album)
    expect(page.locator("#colour")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#compare")).to_be_focused()
    page.keyboard.press("Home")
    expect(page.locator("#compare")).to_have_attribute("aria-valuetext", "100 percent in colour")
    press_until_focused("[name=variant]:checked")
    with page.expect_response(lambda answer: "variant=1" in answer.url and "side=1600" in answer.url):
        page.keyboard.press("ArrowRight")
    press_until_focused("#strength")
    with page.expect_response(lambda answer: "strength=0.95" in answer.url):
        page.keyboard.press("ArrowLeft")
    press_until_focused("#download")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "cat-coloured.jpg"
    press_until_focused("li:nth-child(2) .thumb")
    page.keyboard.press("Enter")
    expect(page.locator("#photo-name")).to_have_text("coffee.png")
    press_until_focused("#remove", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("li:nth-child(1) .thumb")).to_be_focused()
    press_until_focused("#start-over")
    page.keyboard.press("Enter")
    expect(page.locator("#picker")).to_be_focused()


def test_the_settings_of_one_photo_are_used_for_all(open_page, album):
    page = open_page()
    page.locator("#picker").set_input_files(album)
    colour_all(page, 2)
    expect(page.locator("#adjusted-all")).to_be_hidden()
    page.locator("#strength").fill("50")
    with page.expect_response(lambda answer: "/photos/1/image" in answer.url and "strength=0.5" in answer.url):
        page.get_by_role("button", name="Use these settings for all photos").click()
    expect(page.locator("#announcer")).to_have_text("2 photos have these settings.")
    page.locator(".thumb").nth(1).click()
    expect(page.locator("#strength-value")).to_have_text("50%")


@pytest.mark.parametrize("look", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_look_and_the_light_are_chosen_by_their_pictures_and_saved(open_page, model_server, album, look, tmp_path):
    page = open_page(look)
    page.locator("#picker").set_input_files(album[0])
    colour_all(page, 1)
    page.get_by_role("button", name="Look and light").click()
    expect(page.locator("#look-list img")).to_have_count(6)
    for preview in page.locator("#look-list img").all():
        assert preview.evaluate("image => image.decode().then(() => image.naturalWidth)")
    axe = Axe().run(page, options={"resultTypes": ["violations"]})
    assert not [found["id"] for found in axe.response["violations"] if found["impact"] in ("serious", "critical")]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    with page.expect_response(lambda answer: "look=kodachrome" in answer.url and "side=1600" in answer.url):
        page.get_by_role("radio", name="Kodachrome").check()
    with page.expect_response(lambda answer: "look=kodachrome" in answer.url and "warmth=0.3" in answer.url):
        page.locator("#warmth").fill("30")
    expect(page.locator("#warmth-value")).to_have_text("+30")
    with page.expect_download() as saved:
        page.locator("#download").click()
    saved.value.save_as(tmp_path / "saved.jpg")
    with Colorizer(model_server.address) as colorizer:
        ab = colorizer.find_ab(album[0], 4)[0]
    expected = apply_ab(album[0].read_bytes(), ab, ColoringOptions(look="kodachrome", warmth=0.3))
    assert pixels((tmp_path / "saved.jpg").read_bytes()) == pixels(expected)
    (tmp_path / "autumn.png").write_bytes(encode_photo(np.tile(np.uint8([[[200, 120, 40]]]), (64, 64, 1)), "PNG"))
    with page.expect_response(lambda answer: "reference=" in answer.url and "side=1600" in answer.url):
        page.get_by_label("Use another photo’s colours").set_input_files(tmp_path / "autumn.png")
    expect(page.locator("#reference-name")).to_have_text("With the colours of autumn.png")
    page.get_by_role("button", name="As the model says").click()
    expect(page.locator("#reference-name")).to_be_hidden()
    expect(page.locator("#warmth-value")).to_have_text("0")
    expect(page.get_by_role("radio", name="Faithful")).to_be_checked()


# Left, top and width of both pictures together, in pixels of the frame, once they are drawn.
SEEN = """async () => {
    for (let drawn = 0; drawn < 3; drawn++) await new Promise(requestAnimationFrame);
    const frame = document.getElementById("frame").getBoundingClientRect();
    const [before, after] = ["before", "after"].map((id) => document.getElementById(id).getBoundingClientRect());
    if (before.left !== after.left || before.width !== after.width) throw new Error("they are not one upon the other");
    return [after.left - frame.left, after.top - frame.top, after.width / frame.width];
}"""


def test_a_photo_is_looked_at_closely_by_buttons_wheel_mouse_and_keys(open_page, album):
    page = open_page()
    page.locator("#picker").set_input_files(album[0])
    colour_all(page, 1)
    frame, compare = page.locator("#frame"), page.locator("#compare")
    box = frame.bounding_box()

    def place(x, y):
        return {"x": x * box["width"], "y": y * box["height"]}

    page.get_by_role("button", name="Larger").click()
    assert page.evaluate(SEEN)[2] == pytest.approx(1.5)
    # The divider stays between the same colours: what is left of it on the screen is gray.
    assert (
        page.locator("#after").evaluate("one => getComputedStyle(one).clipPath").startswith("inset(0px 0px 0px calc(")
    )
    frame.hover(position=place(0.2, 0.5))
    page.mouse.wheel(0, -400)
    left, _, zoom = page.evaluate(SEEN)
    assert zoom > 2
    page.mouse.down()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.up()
    assert page.evaluate(SEEN)[0] == pytest.approx(left - 0.1 * box["width"], abs=1)
    expect(compare).to_have_value("50")
    compare.press("Shift+ArrowLeft")
    assert page.evaluate(SEEN)[0] == pytest.approx(left + 0.025 * box["width"], abs=1)
    compare.press("0")
    assert page.evaluate(SEEN) == [0, 0, 1]
    expect(page.get_by_role("button", name="Smaller")).to_be_disabled()
    frame.dblclick(position=place(0.25, 0.5))
    assert page.evaluate(SEEN)[2] == pytest.approx(3)
    expect(compare).to_have_value("50")

    page.get_by_role("button", name="Full screen").click()
    expect(page.locator("#viewer:fullscreen")).to_be_attached()
    left, top, zoom = page.evaluate(SEEN)
    assert (left, top, zoom) == (0, 0, 1)
    assert page.locator("#frame").bounding_box()["height"] > 0.75 * page.viewport_size["height"]
    page.get_by_role("button", name="Full screen").click()
    expect(page.locator("#viewer:fullscreen")).not_to_be_attached()
    frame.dblclick(position=place(0.25, 0.5))

    # A place that is clicked is the place of the photo that is seen there.
    page.get_by_role("button", name="Set colours yourself").click()
    page.locator("#frame").click(position=place(0.4, 0.6))
    left, top, zoom = page.evaluate(SEEN)
    dot = page.locator(".hint-dot")
    expected = (0.4 * box["width"] - left) / (zoom * box["width"]), (0.6 * box["height"] - top) / (zoom * box["height"])
    shares = dot.evaluate("dot => [dot.style.left, dot.style.top].map((one) => parseFloat(one) / 100)")
    assert shares == pytest.approx(expected, abs=0.01)
    assert dot.bounding_box()["width"] == pytest.approx(26, abs=1)


def test_two_fingers_make_a_photo_larger_and_leave_the_divider(open_page, album):
    page = open_page(PHONE)
    page.locator("#picker").set_input_files(album[0])
    colour_all(page, 1)
    page.locator("#frame").evaluate(
        """frame => {
            const { left, top, width, height } = frame.getBoundingClientRect();
            const tell = (kind, pointerId, x) => frame.dispatchEvent(new PointerEvent(kind, {
                bubbles: true, pointerId, pointerType: "touch", isPrimary: pointerId === 1,
                clientX: left + x * width, clientY: top + height / 2,
            }));
            tell("pointerdown", 1, 0.4);
            tell("pointerdown", 2, 0.6);
            for (const step of [1, 2, 3, 4]) {
                tell("pointermove", 1, 0.4 - 0.05 * step);
                tell("pointermove", 2, 0.6 + 0.05 * step);
            }
            tell("pointerup", 1, 0.2);
            tell("pointerup", 2, 0.8);
        }"""
    )
    left, _, zoom = page.evaluate(SEEN)
    assert zoom == pytest.approx(3, rel=0.01)
    assert left == pytest.approx(-page.locator("#frame").bounding_box()["width"], rel=0.05)  # the middle stays
    expect(page.locator("#compare")).to_have_value("50")


@pytest.mark.parametrize("look", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_colours_set_by_hand_are_shown_undone_and_saved(open_page, model_server, album, look, tmp_path):
    page = open_page(look)
    page.locator("#picker").set_input_files(album[0])
    colour_all(page, 1)
    dots, tools = page.locator(".hint-dot"), page.locator("#hint-tools")
    shown = page.locator("#after")
    page.get_by_role("button", name="Set colours yourself").click()
    expect(page.locator("#compare")).to_be_hidden()
    page.locator("#hint-layer").click(position={"x": 100, "y": 80})
    expect(tools.get_by_role("button", name="Likely colour")).to_have_count(8)
    tools.get_by_role("button", name="Likely colour").first.click()
    expect(shown).to_have_attribute("src", re.compile("#1$"))
    expect(page.locator("#variants")).to_be_hidden()  # with hints there is one colouring

    page.locator("#hint-color").fill("#9a6b3c")
    expect(shown).to_have_attribute("src", re.compile("#2$"))
    expect(dots).to_have_accessible_name("Place 1: #9a6b3c")
    axe = Axe().run(page).response["violations"]
    assert not [one["nodes"][0]["html"] for one in axe if one["impact"] in ("serious", "critical")]

    page.get_by_role("button", name="Add in the middle").press("Enter")
    expect(dots).to_have_count(2)
    page.keyboard.press("Delete")
    expect(dots).to_have_count(1)
    dots.press("ArrowRight")
    expect(shown).to_have_attribute("src", re.compile("#3$"))
    moved = page.request.get(shown.get_attribute("src").split("/image")[0].rsplit("/photos")[0]).json()["photos"][0]
    page.keyboard.press("Control+z")
    expect(shown).to_have_attribute("src", re.compile("#4$"))
    before = page.request.get(shown.get_attribute("src").split("/image")[0].rsplit("/photos")[0]).json()["photos"][0]
    assert moved["hints"][0]["x"] - before["hints"][0]["x"] == pytest.approx(0.02)

    with page.expect_download() as download:
        page.locator("#download").click()
    download.value.save_as(tmp_path / "saved.jpg")
    hints = [Hint(**hint) for hint in before["hints"]]
    with Colorizer(model_server.address) as colorizer:
        expected = colorizer.colorize(album[0].read_bytes(), hints=hints)
    assert pixels((tmp_path / "saved.jpg").read_bytes()) == pixels(expected)

    dots.press("Delete")
    expect(dots).to_have_count(0)
    expect(shown).to_have_attribute("src", re.compile("#5$"))
    page.get_by_role("button", name="Set colours yourself").click()
    expect(page.locator("#compare")).to_be_visible()


@pytest.mark.parametrize(
    ("locale", "direction", "two_photos"),
    [("ar-EG", "rtl", "لوّن صورتين"), ("pl", "ltr", "Pokoloruj 2 zdjęcia"), ("xx", "ltr", "Colour 2 photos")],
)
def test_the_page_speaks_the_language_of_the_browser(open_page, album, locale, direction, two_photos):
    page = open_page(PHONE | {"locale": locale})
    expect(page.locator("html")).to_have_attribute("dir", direction)
    expect(page.locator("html")).to_have_attribute("lang", locale[:2] if locale != "xx" else "en")
    page.locator("#picker").set_input_files(album)
    expect(page.locator("#colour")).to_have_text(two_photos)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    colour_all(page, 2)
    page.locator("#compare").press("ArrowRight")  # the picture is not mirrored
    expect(page.locator("#after")).to_have_css("clip-path", "inset(0px 0px 0px 51%)")
    axe = Axe().run(page, options={"resultTypes": ["violations"]})
    assert not [found["id"] for found in axe.response["violations"] if found["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page, album, tmp_path, scheme):
    page = open_page(PHONE | {"color_scheme": scheme})
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"nothing")

    def violations() -> list[str]:
        found = Axe().run(page).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found]

    paper = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert max(paper) < 64 if scheme == "dark" else min(paper) > 192
    assert not violations()
    page.locator("#picker").set_input_files([*album, broken])
    expect(page.locator("#before")).to_be_visible()
    assert not violations()
    colour_all(page, 2)
    assert not violations()
    page.locator("li:nth-child(3) .thumb").click()
    expect(page.locator("#photo-problem")).to_be_visible()
    assert not violations()
    page.goto("/docs")
    page.locator("summary").first.click()
    assert not violations()


def test_photos_are_coloured_by_themselves_when_a_server_that_was_away_is_back(open_page, model_server, album):
    model_server.failures.extend([(grpc.StatusCode.UNAVAILABLE, "down")] * 10_000)
    # A gateway of its own: one that has seen the server within five seconds tells the page that it is there.
    page = open_page(settings=WebSettings())
    expect(page.get_by_role("alert")).to_contain_text("The colouring server is away", timeout=30_000)
    page.locator("#picker").set_input_files(album)
    page.locator("#colour").click()
    expect(page.get_by_role("alert")).to_contain_text("The colouring server is away", timeout=30_000)
    model_server.failures.clear()
    expect(page.locator(".thumb[data-state=done]")).to_have_count(2, timeout=20_000)
    expect(page.locator("#notice")).to_be_hidden()

    model_server.failures.extend([(grpc.StatusCode.UNAVAILABLE, "down")] * 10_000)  # in the middle of a job
    page.locator("#picker").set_input_files(album)
    page.locator("#colour").click()
    expect(page.get_by_role("alert")).to_be_visible(timeout=20_000)
    model_server.failures.clear()
    expect(page.locator(".thumb[data-state=done]")).to_have_count(4, timeout=20_000)
    expect(page.locator("#notice")).to_be_hidden()


def test_photos_deleted_on_the_server_are_sent_again_on_demand(open_page, album):
    page = open_page()
    page.locator("#picker").set_input_files(album[:1])
    with page.expect_response("**/api/jobs?*") as created:
        colour_all(page, 1)
    page.request.delete(created.value.headers["location"])
    page.locator("#download").click()
    expect(page.get_by_role("alert")).to_contain_text("deleted from the server")
    page.locator("#notice-retry").click()
    expect(page.locator(".thumb[data-state=done]")).to_have_count(1)


def test_one_broken_file_stops_no_other_and_tiff_needs_no_preview(open_page, album, tmp_path):
    broken, drawing = tmp_path / "broken.jpg", tmp_path / "drawing.svg"
    broken.write_bytes(album[0].read_bytes()[:3000])
    drawing.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    tiff = tmp_path / "scan.tif"
    tiff.write_bytes(encode_photo(decode_photo(album[0].read_bytes()).rgb, "TIFF"))
    page = open_page()
    page.locator("#picker").set_input_files([tiff, broken, drawing])
    expect(page.locator("#no-preview")).to_be_visible()
    page.locator("#colour").click()
    expect(page.locator(".thumb[data-state=done]")).to_have_count(1)
    expect(page.locator(".thumb[data-state=failed]")).to_have_count(2)
    expect(page.locator("#before")).to_be_visible()  # the gateway's picture
    for number, words in ((2, "cannot be read"), (3, "This is not a photo")):
        page.locator(f"li:nth-child({number}) .thumb").click()
        expect(page.locator("#photo-problem")).to_contain_text(words)
        expect(page.locator("#no-preview")).to_have_text("There is nothing to show of this file.")


def test_photos_picked_before_the_page_is_ready_are_not_lost(open_page, album):
    page, held = open_page(), []
    page.route("**/languages/*.json", lambda route: held.append(route))
    with page.expect_request("**/languages/*.json"):
        page.reload(wait_until="commit")
    page.locator("#picker").set_input_files(album)
    expect(page.locator(".thumb")).to_have_count(0)
    held[0].continue_()
    expect(page.locator(".thumb")).to_have_count(len(album))


def test_photos_are_dropped_or_pasted_and_saved_in_the_chosen_format(open_page, album, tmp_path):
    page = open_page()
    give = """([kind, name, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(bytes)], name, { type: "image/jpeg" }));
        const how = { bubbles: true, cancelable: true };
        dispatchEvent(kind === "drop" ? new DragEvent(kind, { ...how, dataTransfer: data })
                                      : new ClipboardEvent(kind, { ...how, clipboardData: data }));
    }"""
    for kind in ("drop", "paste"):
        page.evaluate(give, [kind, f"<b>{kind}</b>.jpg", list(album[0].read_bytes())])
    expect(page.locator(".thumb-name")).to_have_text(["<b>drop</b>.jpg", "<b>paste</b>.jpg"])
    colour_all(page, 2)
    page.locator("#format").select_option("webp")
    with page.expect_download() as download:
        page.locator("#download").click()
    assert Path(download.value.path()).read_bytes()[8:12] == b"WEBP"
    with page.expect_download() as download:
        page.locator("#download-all").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert [archive.read(name)[8:12] for name in archive.namelist()] == [b"WEBP"] * 2


def test_a_photo_in_colour_is_asked_about_and_what_a_format_loses_is_said(open_page, album, tmp_path):
    from skimage import data

    pixels = data.chelsea()
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:9] = 0
    in_color = tmp_path / "chelsea.png"
    in_color.write_bytes(encode_photo(pixels, "PNG", alpha=alpha))
    page = open_page()
    page.locator("#picker").set_input_files([in_color, album[1]])
    colour_all(page, 2)
    expect(page.locator("#announcer")).to_have_text("2 of 2 in colour. 1 had colours already, which you can keep.")
    question = page.get_by_role("group", name="This photo has colours already")
    anew, own = question.get_by_label("Colour it anew"), question.get_by_label("Keep its own colours")
    expect(anew).to_be_checked()
    notes = page.locator("#photo-notes li")
    expect(notes).to_have_text(["It had colour already, which was replaced."])
    page.locator("#format").select_option("jpeg")
    expect(notes).to_have_count(2)
    expect(notes.last).to_contain_text("its transparency, which became white")

    # With the keyboard alone, there and back; the focus stays at the question.
    anew.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("li:nth-child(1) .thumb-state")).to_have_text("Left as it is")
    expect(page.locator("#announcer")).to_have_text("1 of 2 in colour. 1 left as it was.")
    expect(own).to_be_focused()
    for hidden in ("#download", "#photo-problem", "#photo-notes"):
        expect(page.locator(hidden)).to_be_hidden()
    found = Axe().run(page).response["violations"]
    assert not [one["id"] for one in found if one["impact"] in ("serious", "critical")]
    page.keyboard.press("ArrowUp")
    expect(page.locator(".thumb[data-state=done]")).to_have_count(2)
    expect(page.locator("#download")).to_be_visible()
    expect(anew).to_be_focused()
    page.locator("li:nth-child(2) .thumb").click()
    expect(question).to_be_hidden()


def test_what_is_removed_is_deleted_once_it_cannot_be_had_back(open_page, album):
    page = open_page()
    page.clock.install()
    page.locator("#picker").set_input_files(album)
    with page.expect_response("**/api/jobs?*") as created:
        colour_all(page, 2)
    job = created.value.headers["location"]
    page.locator("#remove").click()
    expect(page.locator(".thumb-name")).to_have_text(["coffee.png"])
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".thumb-name")).to_have_text(["cat.jpg", "coffee.png"])
    expect(page.locator("#compare")).to_be_visible()
    page.locator("#remove").click()
    with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        page.clock.fast_forward(11_000)
    expect(page.locator("#removed")).to_be_hidden()
    assert [photo["name"] for photo in page.request.get(job).json()["photos"]] == ["coffee.png"]

    page.locator("#start-over").click()
    question = page.get_by_role("dialog", name="Remove all photos?")
    expect(question).to_contain_text("1 photo is not saved.")
    page.keyboard.press("Enter")  # the safe answer is the first
    expect(question).to_be_hidden()
    expect(page.locator(".thumb")).to_have_count(1)
    page.locator("#start-over").click()
    with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        question.get_by_role("button", name="Remove all").click()
    expect(page.locator("#picker")).to_be_focused()
    assert page.request.get(job).status == 404


def test_a_reload_keeps_the_photos_and_leaving_asks_first(open_page, album, caplog):
    caplog.set_level(logging.INFO, "serving.web")
    page = open_page()
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.locator("#picker").set_input_files(album)
    colour_all(page, 2)
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        page.locator("#strength").fill("50")
    page.reload()
    assert asked == ["beforeunload"]
    expect(page.locator(".thumb[data-state=done]")).to_have_count(2)
    expect(page.locator("#compare")).to_be_visible()
    expect(page.locator("#strength-value")).to_have_text("50%")
    with page.expect_download():
        page.locator("#download-all").click()
    page.goto("about:blank")
    assert asked == ["beforeunload"]  # all is saved
    for _ in range(100):  # once it was loaded anew, once it was left
        if caplog.text.count("DELETE /api/jobs/{job_id} 204") == 2:
            return
        page.wait_for_timeout(50)
    raise AssertionError("a page that was left leaves its photos behind")


def test_a_file_over_the_limit_is_told_before_it_is_sent(open_page, album):
    page = open_page(settings=WebSettings(Limits(photo_bytes=2000)))
    expect(page.locator("#fact-formats")).to_contain_text("up to 2 kB")
    page.locator("#picker").set_input_files(album[:1])
    expect(page.locator("#photo-problem")).to_contain_text("The file is too large. It has")
    expect(page.locator("#colour")).to_be_hidden()


def test_what_failed_on_the_server_is_tried_again_there(open_page, model_server, album):
    page = open_page(connection=ConnectionOptions(timeout=0.5))
    page.locator("#picker").set_input_files(album[:1])
    expect(page.locator("#before")).to_be_visible()
    model_server.released.clear()
    page.locator("#colour").click()
    expect(page.get_by_role("alert")).to_be_visible()
    with page.expect_request("**/retry"):
        model_server.released.set()
    expect(page.locator(".thumb[data-state=done]")).to_have_count(1)


def test_a_photo_that_the_browser_cannot_show_is_coloured_and_shown_then(open_page, astronaut, tmp_path):
    (tmp_path / "phone.heic").write_bytes(heic(astronaut))
    page = open_page(PHONE)
    page.locator("#picker").set_input_files(tmp_path / "phone.heic")
    expect(page.locator("#no-preview")).to_contain_text("It can be coloured all the same")
    page.locator("#colour").click()
    expect(page.locator("#own-colors")).to_be_visible()  # it has colours, and is coloured anew
    expect(page.locator("#after")).to_be_visible()
    expect(page.locator("#no-preview")).to_be_hidden()
    assert page.locator("#before").evaluate("image => image.decode().then(() => image.naturalWidth)") == 280


def test_the_access_token_is_asked_for_once(open_page, album):
    token = "correct horse battery staple"
    page = open_page(settings=WebSettings(access_token=token))
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")  # not for good
    expect(page.locator("#token-dialog")).to_be_hidden()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#token-dialog")).to_be_visible()
    page.locator("#token").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#token-problem")).to_contain_text("not the right one")
    page.locator("#token").fill(token)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    page.locator("#picker").set_input_files(album[:1])
    colour_all(page, 1)
    with page.expect_download() as download:
        page.locator("#download").click()
    assert decode_photo(Path(download.value.path()).read_bytes()).rgb.shape == (300, 451, 3)
