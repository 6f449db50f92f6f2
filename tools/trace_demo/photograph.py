"""Keeps what a browser shows: `python photograph.py URL FILE WIDTH HEIGHT TEXT PART`. Needs playwright, and the system's chromium."""

from __future__ import annotations

import sys

from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
MILLISECONDS = 120_000
LIGHT = "localStorage.setItem('arize-phoenix-theme', 'light')"
"""Phoenix is dark unless told otherwise, and documents are light."""


def main(url: str, file: str, width: str, height: str, text: str, part: str) -> None:
    """Wait until `text` stands on the page and the page has come to rest; keep its `part`, a CSS selector."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": int(width), "height": int(height)}, color_scheme="light")
        context.add_init_script(LIGHT)
        page = context.new_page()
        page.goto(url, timeout=MILLISECONDS)
        shown = page.locator(part).first
        shown.get_by_text(text).first.wait_for(timeout=MILLISECONDS)
        page.wait_for_load_state("networkidle", timeout=MILLISECONDS)
        shown.screenshot(path=file)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
