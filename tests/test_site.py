"""`make site`: the page paints what Keras paints, says what is wrong, and loads nothing from elsewhere. Needs build/site/."""

import functools
import http.server
import json
import pathlib
import threading

import keras
import notebooks
import numpy as np
import pytest
from conftest import ROOT
from keras import ops

SITE = ROOT / "build" / "site"
CHROMIUM = pathlib.Path("/usr/bin/chromium")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"

pytestmark = pytest.mark.skipif(
    not SITE.exists() or not CHROMIUM.exists(), reason="needs `make site` and Chromium"
)


@pytest.fixture(scope="module")
def address():
    """The site, served on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=SITE)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, address):
    """A function that opens a page of the site; at the end nothing may have gone wrong or come from elsewhere."""
    wrong, pages = [], []

    def open_page(name, **options):
        page = browser.new_page(**options)
        pages.append(page)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        page.on("request", lambda r: r.url.startswith((address, "data:", "blob:")) or wrong.append(r.url))
        page.on("response", lambda r: r.status < 400 or wrong.append(f"{r.status} {r.url}"))
        page.goto(address + name)
        if name == "play.html":
            page.wait_for_function("document.body.dataset.painted", timeout=60_000)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not wrong


def drawn(page):
    """What the page paints, (32, 32, 3), and which patches it hides."""
    page.wait_for_function("document.getElementById('status').textContent.startsWith('Error on hidden')")
    painted = np.array(json.loads(page.evaluate("document.body.dataset.painted"))).reshape(32, 32, 3)
    hidden = page.eval_on_selector_all(
        "#grid button", "all => all.map(b => b.getAttribute('aria-pressed') === 'true')"
    )
    return painted, np.array(hidden)


def redraw(page, act):
    """Do something, and wait until it is drawn."""
    page.evaluate("delete document.body.dataset.painted")
    act()
    page.wait_for_function("document.body.dataset.painted")


@pytest.fixture(scope="module")
def keras_paints(cifar10):
    """A function that paints the first test airplane in Keras, from the released files and the notebook's definitions."""
    n = notebooks.definitions(notebooks.PRETRAINING)
    folder = ROOT / "weights" / "mae-6x2-mask75-100ep"
    encoder, decoder = (keras.saving.load_model(folder / f"{name}.keras") for name in ("encoder", "decoder"))
    masked = n["build_encoder"](32, 4, 3, 128, 6, 4, 2, masked=True, fuse=True)
    masked.set_weights(encoder.get_weights())
    image = cifar10[2][np.argmax(cifar10[3] == 0)][None]

    def paint(hidden):
        noise = ops.convert_to_tensor(hidden[None] + np.linspace(0, 0.5, 64)[None], "float32")
        ids_keep, ids_restore, mask = n["random_masking"](noise, int((~hidden).sum()))
        predictions = decoder([masked([ops.convert_to_tensor(image, "float32"), ids_keep]), ids_restore])
        return n["paint"](predictions, image, mask, 4, True)[0]

    return paint


def test_page_paints_what_keras_paints(open_page, keras_paints):
    """To one grey level, at several ratios; the next drawings take less than 100 ms each."""
    page = open_page("play.html")
    times = []
    for ratio in (48, 1, 32, 63):
        redraw(page, functools.partial(page.locator("#ratio").fill, str(ratio)))
        painted, hidden = drawn(page)
        assert hidden.sum() == ratio
        expected = np.clip(keras_paints(hidden), 0, 255)
        assert np.abs(painted - expected).max() <= 1
        times.append(float(page.evaluate("document.body.dataset.milliseconds")))
    assert np.median(times) < 100, times


def test_trained_model_paints_better_than_the_untrained(open_page):
    page = open_page("play.html")

    def error():
        return float(page.inner_text("#status").split(":")[1].split()[0])

    drawn(page)
    trained = error()
    redraw(page, lambda: page.select_option("#model", "untrained"))
    drawn(page)
    assert error() > trained + 0.3


def test_hiding_all_or_nothing_gets_a_sentence(open_page, one_sentence):
    page = open_page("play.html")
    for count, word in ((64, "Everything"), (0, "Nothing")):
        page.locator("#ratio").fill(str(count))
        page.wait_for_function(f"document.getElementById('status').textContent.startsWith('{word}')")
        one_sentence(page.inner_text("#status"))
    redraw(page, lambda: page.locator("#ratio").fill("10"))
    assert drawn(page)[1].sum() == 10


def test_broken_upload_gets_a_sentence(open_page, one_sentence, tmp_path):
    """And what was there stays; a real picture of another size is then taken."""
    page = open_page("play.html")
    before, _ = drawn(page)
    page.set_input_files("#own", {"name": "text.png", "mimeType": "image/png", "buffer": b"no picture"})
    page.wait_for_function("document.getElementById('status').textContent.includes('text.png')")
    one_sentence(page.inner_text("#status"))
    assert np.array_equal(json.loads(page.evaluate("document.body.dataset.painted")), before.ravel())
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.imsave(tmp_path / "wide.png", np.tile(np.uint8([[[200, 0, 0]]]), (90, 200, 1)))
    redraw(page, lambda: page.set_input_files("#own", tmp_path / "wide.png"))
    painted, hidden = drawn(page)
    visible = ~hidden.reshape(8, 8).astype(bool).repeat(4, 0).repeat(4, 1)
    assert visible.any() and np.abs(painted.reshape(32, 32, 3)[visible] - [200, 0, 0]).max() <= 1


def test_mouse_and_keyboard_hide_patches(open_page):
    page = open_page("play.html", viewport={"width": 390, "height": 800}, color_scheme="dark")
    redraw(page, lambda: page.locator("#ratio").fill("1"))
    _, before = drawn(page)
    box = page.locator("#grid").bounding_box()
    step = box["width"] / 8
    row = next(r for r in range(8) if not before.reshape(8, 8)[r].any())  # nothing hidden there

    def drag():
        y = box["y"] + (row + 0.5) * step
        page.mouse.move(box["x"] + 0.5 * step, y)
        page.mouse.down()
        for column in range(8):
            page.mouse.move(box["x"] + (column + 0.5) * step, y)
        page.mouse.up()

    redraw(page, drag)
    page.wait_for_function("document.querySelectorAll('#grid [aria-pressed=true]').length === 9")
    _, after = drawn(page)
    assert after.reshape(8, 8)[row].all() and after.sum() == 9

    def keys():
        page.locator("#grid button").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Space")

    redraw(page, keys)
    _, last = drawn(page)
    assert np.flatnonzero(last != after).tolist() == [9]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "too wide for a phone"


def test_every_page_opens_and_its_links_lead_somewhere(open_page):
    """No script error, nothing from elsewhere, and no link into the void."""
    for file in SITE.glob("*.html"):
        page = open_page(file.name)
        assert page.locator("h1").count() >= 1
        for link in page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))"):
            if "//" not in link and not link.startswith("#"):
                assert (SITE / link.split("#")[0]).exists(), f"{file.name}: {link}"
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth)"), file.name
        assert "$" not in "".join(page.locator("p:not(:has(code))").all_inner_texts()), (
            f"{file.name}: a raw formula"
        )
