"""A page as a person sees it in Chromium: its size, its colours, and what axe-core finds."""

import shutil
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "headless no-sandbox disable-gpu disable-background-networking disable-component-update disable-sync no-first-run"
)
SECONDS = 30
"""The most that any one thing is waited for."""


def start(folder: Path) -> Any:
    """Return a driver of Chromium that keeps its profile in a folder; skip the test where there is none."""
    if not CHROMIUM or not DRIVER:
        pytest.skip("no Chromium with its chromedriver is installed")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS.split():
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={folder}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(SECONDS)
    return driver


def look(browser: Any, width: int, scheme: str = "light") -> None:
    """Give the window a width in px, and the colours that a person prefers."""
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chosen = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", chosen)


def assert_fits(browser: Any) -> None:
    """Hold the page against its window's width."""
    width, room = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= room


def assert_accessible(browser: Any) -> None:
    """Let axe-core find nothing, the contrast of text among what it looked at; a drawing is one image."""
    axe = Path(pytest.importorskip("axe_core_python").__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    browser.execute_script(axe)
    found = browser.execute_async_script("axe.run({exclude: ['svg > *']}).then(arguments[0])")
    assert len(found["passes"]) > 10
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
    assert "color-contrast" in [one["id"] for one in found["passes"]]
