"""Tests in a real browser: drive.py CHROMIUM DRIVER PROGRAM [--shots FOLDER]"""
import json
import pathlib
import sys
import tempfile
import unittest

from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from browser import Browser, best_of, run_program

COSTS = ["--forward", "10us", "--input-grad", "10us", "--weight-grad", "10us"]
HOSTILE = "</script><img src=x onerror=alert(1)><!--<script>\u2028&amp;'\""
SHOWN = HOSTILE.replace("\u2028", "?")  # as every name that would break its line
FILL = {"F": "#6f9ff2", "B": "#e87f84"}
settings = {}


class BrowserTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = settings["browser"]
        cls.folder = settings["folder"]

    def make(self, name, *line):
        """The file that a command writes, made once."""
        path = self.folder / name
        if not path.exists():
            kind = "--svg" if name.endswith(".svg") else "--html"
            run_program(settings["program"], [*line, kind, name], self.folder)
        return path

    def open(self, path, **how):
        self.browser.open(path, **how)
        return self.browser

    def open_1f1b(self, **how):
        """Ranks 0 … 3; rank 0 runs F0 … F3 until 40 µs, then idles until B0 starts at 100 µs."""
        return self.open(self.make("1f1b.html", "simulate", "1f1b", "-p", "4", "-m", "8", *COSTS),
                         **how)

    def open_two(self, **how):
        return self.open(self.make("two.html", "compare", "-p", "4", "-m", "8", *COSTS,
                                   "--schedules", "1f1b,zb-h1"), **how)

    def shot(self, name):
        if settings["shots"]:
            self.browser.driver.save_screenshot(str(settings["shots"] / (name + ".png")))

    def tearDown(self):
        self.assertEqual(self.browser.console(), [])


class PageTest(BrowserTest):
    def test_opens_without_network_and_draws(self):
        page = self.open_1f1b()
        self.assertEqual(page.text("title"), "1f1b – Bubblescope")
        self.assertEqual(page.shown(), [0, 330, 330])
        self.assertEqual(page.script("return performance.getEntriesByType('resource').length"), 0)
        self.assertEqual(page.pixel(5, 0, up=9), FILL["F"])
        self.assertEqual(page.pixel(110, 0, up=9), FILL["B"])
        self.shot("1f1b")

    def test_wheel_zooms_around_the_pointer(self):
        page = self.open_1f1b()
        before = page.hover(45, 3)
        page.wheel(*page.place(45, 3), -300)
        begin, end, _ = page.shown()
        self.assertLess(end - begin, 330 / 2)
        self.assertLess(begin, 45)
        self.assertLess(45, end)
        self.assertEqual(page.hover(45, 3), before)
        page.wheel(*page.place(45, 3), 3000)
        page.wheel(*page.place(45, 3), 3000)
        self.assertEqual(page.shown(), [0, 330, 330])

    def test_drag_moves_time_with_the_hand(self):
        page = self.open_1f1b()
        page.keys("+")
        begin, end, _ = page.shown()
        self.assertEqual([begin, end], [82.5, 247.5])
        layout = page.layout()
        by = 100
        page.drag(*page.place(180, 1), by)
        moved = by * (end - begin) / (layout["right"] - layout["left"])
        self.assertAlmostEqual(page.shown()[0], begin - moved, delta=0.01)
        self.assertAlmostEqual(page.shown()[1], end - moved, delta=0.01)

    def test_keys_zoom_and_move(self):
        page = self.open_1f1b()
        page.focus()
        page.keys("+")
        self.assertEqual(page.shown()[:2], [82.5, 247.5])
        page.keys(Keys.ARROW_RIGHT)
        self.assertEqual(page.shown()[:2], [115.5, 280.5])
        page.keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
        self.assertEqual(page.shown()[:2], [49.5, 214.5])
        page.keys("-")
        self.assertEqual(page.shown()[:2], [0, 330])
        for home in ("0", Keys.HOME):
            page.keys("+", "+", home)
            self.assertEqual(page.shown()[:2], [0, 330])
        page.keys(*"+" * 30)  # never closer than time has steps
        begin, end, _ = page.shown()
        self.assertAlmostEqual(end - begin, 0.02, delta=0.002)

    def test_hover_tells_the_op_and_the_gap_before_it(self):
        page = self.open_1f1b()
        self.assertEqual(page.hover(110, 0)[:4], [
            "B0 of stage 0", "rank 0 · 100.000 µs to 120.000 µs · lasts 20.000 µs",
            "idle before it: 60.000 µs, waiting for input, for B0 of stage 1 on rank 1",
            "4 live activations as it starts"])
        self.assertEqual(page.hover(5, 0)[2:], [
            "no idle time before it", "1 live activation as it starts", "on the critical path"])
        self.shot("hover")

    def test_a_tooltip_goes_when_what_it_tells_of_moves(self):
        page = self.open_1f1b()
        page.focus()
        page.keys("+")
        self.assertNotEqual(page.hover(110, 0), [])
        page.keys(Keys.ARROW_RIGHT)
        self.assertEqual(page.tip(), [])
        self.assertNotEqual(page.hover(130, 0), [])

    def test_all_that_block_together_are_named(self):
        page = self.open(self.make("ties.html", "simulate", "chimera", "-p", "4", "-m", "8",
                                   *COSTS))
        end = page.shown()[2]
        self.assertEqual(page.hover(end - 1, 1)[0], "idle: drain")
        self.assertEqual(page.tip()[2],
                         "waits for B3 of stage 0 on rank 0 and B7 of stage 4 on rank 3")

    def test_hover_tells_the_cause_of_a_bubble(self):
        page = self.open_1f1b()
        self.assertEqual(page.hover(70, 0), [
            "idle: waiting for input", "rank 0 · 40.000 µs to 100.000 µs · lasts 60.000 µs",
            "waits for B0 of stage 1 on rank 1", "before B0 of stage 0"])
        self.assertEqual(page.hover(5, 2)[0], "idle: warm-up")
        self.assertEqual(page.hover(329, 3)[0], "idle: drain")

    def test_hover_tells_messages(self):
        page = self.open(self.make("torch.html", "simulate", "1f1b", "-p", "2", "-m", "2", *COSTS,
                                   "--p2p", "4us", "--comm", "torch"))
        self.assertEqual(page.hover(46, 0)[0], "idle: message in flight")
        self.assertEqual(page.tip()[2], "waits for the gradient of I0 of stage 1, a message from "
                                        "rank 1 to rank 0")

    def test_keys_walk_from_box_to_box(self):
        page = self.open_1f1b()
        page.focus()
        page.keys(Keys.ARROW_RIGHT, shift=True)
        self.assertEqual(page.tip()[0], "F0 of stage 0")
        page.keys(*[Keys.ARROW_RIGHT] * 4, shift=True)
        self.assertEqual(page.tip()[0], "idle: waiting for input")
        self.assertIn("waits for B0 of stage 1 on rank 1", page.text("#spoken"))
        page.keys(Keys.ENTER)
        self.assertEqual(page.tip()[:2], [
            "B0 of stage 1", "rank 1 · 80.000 µs to 100.000 µs · lasts 20.000 µs"])
        page.keys(Keys.ENTER, Keys.ENTER)
        self.assertEqual(page.tip()[1], "rank 3 · 40.000 µs to 60.000 µs · lasts 20.000 µs")
        page.keys(Keys.ARROW_UP)
        self.assertIn("rank 2", page.tip()[1])
        page.keys(Keys.ESCAPE)
        self.assertEqual(page.tip(), [])

    def test_keys_bring_what_they_come_to_into_sight(self):
        page = self.open_1f1b()
        page.focus()
        page.keys("+", "+", "+")
        page.keys(Keys.ARROW_RIGHT, shift=True)
        for _ in range(8):
            page.keys(Keys.ARROW_RIGHT, shift=True)
        begin, end, _ = page.shown()
        start = float(page.tip()[1].split("· ")[1].split(" ")[0])
        self.assertLessEqual(begin, start)
        self.assertLess(start, end)

    def test_the_critical_path_can_be_shown(self):
        page = self.open_1f1b()
        page.focus()
        without = page.picture()
        page.keys("c")
        self.assertEqual(page.find("#path")[0].get_attribute("aria-pressed"), "true")
        self.assertEqual(page.pixel(5, 0, up=9), FILL["F"])  # F0 is on it
        self.assertNotEqual(page.pixel(15, 0, up=9), FILL["F"])  # F1 is not, so it is faint
        self.shot("path")
        page.click("#path")
        self.assertEqual(page.picture(), without)

    def test_schedules_share_their_axis(self):
        page = self.open_two()
        before = [page.picture(0), page.picture(1)]
        page.wheel(*page.place(200, 1, 1), -300, 1)
        for plot in (0, 1):
            self.assertNotEqual(page.picture(plot), before[plot])
            lines = page.hover(205, 2, plot)
            start, end = (float(each.split(" ")[0]) for each in
                          lines[1].split("· ")[1].split(" to "))
            self.assertLessEqual(start, 205)
            self.assertGreaterEqual(end, 205)
        self.shot("two")
        page.click("#columns")
        first, second = (each.rect for each in page.find(".plot"))
        self.assertEqual(first["y"], second["y"])
        self.assertGreater(second["x"], first["x"] + first["width"])
        self.shot("columns")

    def test_tables_tell_the_same(self):
        page = self.open_1f1b()
        page.focus()
        page.keys("t")
        tables = page.script(
            "return [...document.querySelectorAll('table')].map((table) =>"
            " [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent)))")
        self.assertEqual(tables[0][0], ["rank", "busy", "idle", "warm-up", "waiting for input",
                                        "drain", "most live activations"])
        self.assertEqual(tables[0][1], ["0", "240.000 µs", "90.000 µs", "0.000 µs", "90.000 µs",
                                        "0.000 µs", "4"])
        self.assertEqual(len(tables[1]), 17)
        self.assertEqual(tables[1][5], ["5", "B0 of stage 0", "100.000 µs", "120.000 µs",
                                        "20.000 µs", "60.000 µs",
                                        "waiting for input, for B0 of stage 1 on rank 1"])
        self.assertEqual(page.script(
            "return [...document.querySelectorAll('th')].every((th) => th.scope)"), True)
        Select(page.find("#tables select")[1]).select_by_visible_text("3")
        self.assertEqual(page.text("tbody:last-of-type tr td"), "240.000 µs")
        self.assertIn("actions of rank 3", page.text("#tables > div > div:last-child caption"))
        self.shot("table")

    def test_hostile_names_are_text(self):
        path = self.folder / "hostile.json"
        run_program(settings["program"], ["order", "1f1b", "-p", "2", "-m", "2", "--to", "json",
                                          "-o", path.name], self.folder)
        program = json.loads(path.read_text())
        program["schedule"] = HOSTILE
        path.write_text(json.dumps(program))
        name = "<img src=x onerror=alert(1)>.json"
        (self.folder / name).write_text(path.read_text())
        page = self.open(self.make("hostile.html", "simulate", "--program", path.name, *COSTS))
        self.assertEqual(page.text("h1"), SHOWN)
        page.keys("t")
        self.assertEqual(page.find("img"), [])
        self.assertEqual(len(page.find("script")), 2)
        page = self.open(self.make("hostile2.html", "compare", "--program", name, "--schedules",
                                   "1f1b", *COSTS))
        self.assertIn(name, page.text("h1"))
        self.assertEqual(page.find("img"), [])
        self.open(self.make("hostile.svg", "simulate", "--program", path.name, *COSTS))
        self.assertEqual(page.text("title"), SHOWN)
        self.assertEqual(page.find("script, img"), [])

    def test_the_policy_lets_nothing_else_in(self):
        page = self.open_1f1b()
        page.script("const s = document.createElement('script'); s.textContent = 'window.bad = 1';"
                    "document.body.append(s);"
                    "const i = document.createElement('img'); i.src = 'http://127.0.0.1:9/x.png';"
                    "document.body.append(i);")
        page.settle()
        self.assertEqual(page.script("return window.bad === undefined"), True)
        refused = page.console()
        self.assertTrue(any("script-src" in each for each in refused), refused)
        self.assertTrue(any("img-src" in each for each in refused), refused)

    def test_follows_light_and_dark(self):
        page = self.open_1f1b(scheme="dark")
        self.assertEqual(page.script("return getComputedStyle(document.body).backgroundColor"),
                         "rgb(20, 23, 28)")
        self.assertEqual(page.pixel(5, 0, up=-27), "#14171c")  # between two rows
        self.shot("dark")

    def test_fits_a_narrow_window(self):
        page = self.open_two(width=360, height=640)
        page.keys("t")
        self.assertLessEqual(page.script("return document.documentElement.scrollWidth"), 360)
        self.shot("narrow")


class FluencyTest(BrowserTest):
    def test_fifty_thousand_ops_are_fluent(self):
        page = self.open(self.make("large.html", "simulate", "1f1b", "-p", "64", "-m", "391",
                                   *COSTS), height=1200)
        ops = page.script("return JSON.parse(document.getElementById('data').textContent)"
                          ".schedules[0].op.length")
        self.assertGreaterEqual(ops, 50_000)
        places = iter(range(10**6))

        def hover():
            x, y = page.place(1 + next(places) % 10, 5)
            return page.driver.execute_async_script("""
                const [x, y, done] = arguments;
                const plot = document.querySelector('.plot');
                const box = plot.getBoundingClientRect();
                const begin = performance.now();
                plot.dispatchEvent(new PointerEvent('pointermove', {bubbles: true,
                    clientX: box.left + x, clientY: box.top + y}));
                document.getElementById('tip').getBoundingClientRect();
                requestAnimationFrame(() => setTimeout(() => done(performance.now() - begin)));
                """, x, y)

        def redraw(key):
            """All that a change of the view takes, until its pixels are there."""
            return page.driver.execute_async_script("""
                const [key, done] = arguments;
                const plot = document.querySelector('.plot');
                const begin = performance.now();
                plot.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
                requestAnimationFrame(() => {
                  const pen = new OffscreenCanvas(1, 1)
                      .getContext('2d', {willReadFrequently: true});
                  pen.drawImage(plot.firstChild, 0, 0);
                  pen.getImageData(0, 0, 1, 1);
                  done(performance.now() - begin);
                });
                """, key)

        answered = best_of(10, hover)
        whole = best_of(10, lambda: redraw("0"))
        page.keys(*"+++")
        part = best_of(10, lambda: redraw("ArrowRight"))
        print(f"{ops} ops: a hover is answered in {answered:.1f} ms, the whole step is drawn in "
              f"{whole:.1f} ms, an eighth of it in {part:.1f} ms")
        self.assertLess(answered, 100)
        self.shot("large")


class PictureTest(BrowserTest):
    PICTURES = {
        "p2": ["simulate", "1f1b", "-p", "2", "-m", "4", *COSTS],
        "zb": ["simulate", "zb-h1", "-p", "4", "-m", "8", *COSTS, "--p2p", "2us", "--comm",
               "torch"],
        "interleaved": ["simulate", "interleaved-1f1b", "-p", "4", "-m", "8", "-v", "2", *COSTS],
        "dualpipe8": ["simulate", "dualpipe", "-p", "8", "-m", "20", *COSTS],
        "dualpipe16": ["simulate", "dualpipe", "-p", "16", "-m", "120", "--costs",
                       "deepseek-v3-h800"],
        "p64": ["simulate", "1f1b", "-p", "64", "-m", "128", *COSTS],
    }

    def test_text_stays_in_its_place(self):
        for name, line in self.PICTURES.items():
            for scheme in ("light", "dark"):
                with self.subTest(name=name, scheme=scheme):
                    page = self.open(self.make(name + ".svg", *line), width=1400, scheme=scheme)
                    width, height = page.script(
                        "const svg = document.documentElement;"
                        "return [svg.width.baseVal.value, svg.height.baseVal.value]")
                    boxes = page.script("""
                        return [...document.querySelectorAll('text')].map((text) => {
                          const box = text.getBoundingClientRect();
                          return [box.left + scrollX, box.top + scrollY, box.right + scrollX,
                                  box.bottom + scrollY];
                        });""")
                    for left, top, right, bottom in boxes:
                        self.assertTrue(0 <= left < right <= width and 0 <= top < bottom <= height)
                    self.check_apart(boxes)
                    if settings["shots"]:
                        self.open(self.make(name + ".svg", *line), width=round(width),
                                  height=round(height), scheme=scheme)
                        self.shot(f"{name}-{scheme}")

    def check_apart(self, boxes):
        """No two texts of one line overlap."""
        lines = {}
        for left, top, right, _ in boxes:
            lines.setdefault(round(top), []).append((left, right))
        for line in lines.values():
            line.sort()
            for (_, right), (left, _) in zip(line, line[1:]):
                self.assertLessEqual(right, left + 0.01)


def main():
    chromium, driver, program, *rest = sys.argv[1:]
    settings["program"] = str(pathlib.Path(program).resolve())
    settings["shots"] = pathlib.Path(rest[1]) if rest[:1] == ["--shots"] else None
    if settings["shots"]:
        settings["shots"].mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bubblescope-browser-") as folder:
        settings["folder"] = pathlib.Path(folder)
        settings["browser"] = Browser(chromium, driver)
        try:
            suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
            passed = unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful()
        finally:
            settings["browser"].quit()
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
