"""A headless Chromium that shows a page, and what a test asks of it."""
import re
import subprocess
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin


class Browser:
    def __init__(self, chromium, driver):
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                         "--disable-dev-shm-usage", "--force-device-scale-factor=1"):
            options.add_argument(argument)
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.driver.set_script_timeout(60)

    def quit(self):
        self.driver.quit()

    def open(self, path, width=1300, height=800, scheme="light"):
        command = self.driver.execute_cdp_cmd
        command("Emulation.setEmulatedMedia",
                {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        command("Emulation.setDeviceMetricsOverride",
                {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        self.driver.get_log("browser")  # what is left of the page before
        self.driver.get(path.resolve().as_uri())
        self.settle()

    def settle(self):
        """Waits until what was asked for is drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done));")

    def console(self):
        """What the page complained about: errors, and all that its policy refused."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def find(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.script("return document.querySelector(arguments[0]).textContent", selector)

    def click(self, selector):
        self.find(selector)[0].click()
        self.settle()

    # Plots.

    def layout(self, plot=0):
        left, right, top, row, box = (
            float(each) for each in
            self.find(".plot")[plot].get_attribute("data-layout").split())
        return {"left": left, "right": right, "top": top, "row": row, "box": box}

    def shown(self):
        """The time that is shown, in the page's unit: from, to, of."""
        return [float(each) for each in re.findall(r"[\d.]+", self.text("#range"))]

    def place(self, time_shown, rank, plot=0):
        """Where a time and a rank lie in a plot, in pixels of it."""
        layout = self.layout(plot)
        begin, end, _ = self.shown()
        share = (time_shown - begin) / (end - begin)
        return (layout["left"] + share * (layout["right"] - layout["left"]),
                layout["top"] + rank * layout["row"] + layout["box"] / 2)

    def chain_to(self, x, y, plot=0):
        element = self.find(".plot")[plot]
        size = element.size
        return ActionChains(self.driver, duration=0).move_to_element_with_offset(
            element, round(x - size["width"] / 2), round(y - size["height"] / 2))

    def hover(self, time_shown, rank, plot=0):
        """The lines of the tooltip; none where there is none."""
        self.chain_to(*self.place(time_shown, rank, plot), plot).perform()
        return self.tip()

    def tip(self):
        return self.script("const tip = document.getElementById('tip');"
                           "return tip.hidden ? [] : [...tip.children].map((p) => p.textContent)")

    def wheel(self, x, y, by, plot=0):
        element = self.find(".plot")[plot]
        size = element.size
        origin = ScrollOrigin.from_element(element, round(x - size["width"] / 2),
                                           round(y - size["height"] / 2))
        ActionChains(self.driver).scroll_from_origin(origin, 0, by).perform()
        self.settle()

    def drag(self, x, y, by, plot=0):
        self.chain_to(x, y, plot).click_and_hold().move_by_offset(by, 0).release().perform()
        self.settle()

    def focus(self, plot=0):
        self.script("document.querySelectorAll('.plot')[arguments[0]].focus()", plot)

    def keys(self, *keys, shift=False):
        for key in keys:
            chain = ActionChains(self.driver)
            if shift:
                chain.key_down(Keys.SHIFT)
            chain.send_keys(key)
            if shift:
                chain.key_up(Keys.SHIFT)
            chain.perform()
        self.settle()

    def pixel(self, time_shown, rank, plot=0, up=0):
        """The colour of a box, "#rrggbb", `up` pixels above its middle."""
        x, y = self.place(time_shown, rank, plot)
        data = self.script(
            "const canvas = document.querySelectorAll('.plot')[arguments[2]].firstChild;"
            "const pen = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});"
            "pen.drawImage(canvas, -arguments[0], -arguments[1]);"
            "return [...pen.getImageData(0, 0, 1, 1).data]",
            round(x), round(y - up), plot)
        return "#%02x%02x%02x" % tuple(data[:3])

    def picture(self, plot=0):
        """All of a plot, to tell whether it changed."""
        return self.script(
            "return document.querySelectorAll('.plot')[arguments[0]].firstChild.toDataURL()", plot)


def run_program(program, line, folder):
    subprocess.run([program, "-q", *line], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def best_of(times, measure):
    """The shortest: other programs of the machine only lengthen what is measured."""
    shortest = float("inf")
    for _ in range(times):
        shortest = min(shortest, measure())
        time.sleep(0.05)
    return shortest
