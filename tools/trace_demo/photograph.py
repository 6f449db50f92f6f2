"""Keeps what a browser shows: `python photograph.py URL FILE WIDTH HEIGHT TEXT`. Needs playwright, and the system's chromium."""

from __future__ import annotations

import sys

from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
MILLISECONDS = 120_000


def main(url: str, file: str, width: str, height: str, text: str) -> None:
    """Wait until `text` stands on the page, and for the page to come to rest."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": int(width), "height": int(height)}, color_scheme="light")
        page.goto(url, timeout=MILLISECONDS)
        page.get_by_text(text).first.wait_for(timeout=MILLISECONDS)
        page.wait_for_load_state("networkidle", timeout=MILLISECONDS)
        page.screenshot(path=file)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
