"""Draw the documents' images anew from the last run: `python docs/draw_images.py`, after `make test` and `dvc repro`.

It needs Chromium and its driver, as the tests of the page do.
"""

import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

DOCS = Path(__file__).parent
SIZE = (900, 1350)
PORT = 8766


def main() -> None:
    """Write the contact sheet, and the card beside the page, into this folder."""
    copyfile("plots/contact_sheet.jpg", DOCS / "contact_sheet.jpg")
    with browser() as driver, tempfile.TemporaryDirectory() as folder:
        shots = [Path(folder) / name for name in ("card.png", "page.png")]
        driver.get(Path("reports/model_card.html").resolve().as_uri())
        driver.save_screenshot(str(shots[0]))
        with page():
            driver.get(f"http://127.0.0.1:{PORT}/")
            driver.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(an_image(Path(folder))))
            WebDriverWait(driver, 60).until(lambda now: now.find_elements(By.CSS_SELECTOR, "main img"))
            driver.save_screenshot(str(shots[1]))
        joined(shots).save(DOCS / "card_and_page.png", optimize=True)


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Open a browser without a window."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={SIZE[0]},{SIZE[1]}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options)
    try:
        yield driver
    finally:
        driver.quit()


@contextmanager
def page() -> Iterator[None]:
    """Serve the local page."""
    server = subprocess.Popen(["lesions", "page", "--port", str(PORT)], stdout=subprocess.PIPE)
    try:
        assert server.stdout
        server.stdout.readline()
        time.sleep(1)
        yield
    finally:
        server.terminate()
        server.wait()


def an_image(folder: Path) -> Path:
    """Unpack the first drawn image."""
    archive = sorted(Path("data/raw").glob("*.zip"))[0]
    with zipfile.ZipFile(archive) as images:
        name = next(name for name in images.namelist() if name.endswith((".jpg", ".png")))
        return Path(images.extract(name, folder))


def joined(files: list[Path]) -> Image.Image:
    """Return two screenshots as one image, with a gap, in 256 colours."""
    images = [Image.open(file).convert("RGB") for file in files]
    whole = Image.new("RGB", (sum(image.width for image in images) + 20, max(image.height for image in images)), "#888")
    left = 0
    for image in images:
        whole.paste(image, (left, 0))
        left += image.width + 20
    return whole.quantize(256, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main()
