"""tools/bench/cpu on recorded figures: the table's arithmetic, the page, the command's words."""

import json
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCH = HERE.parent.parent / "tools" / "bench"
sys.path.insert(0, str(BENCH / "models"))
import contenders  # noqa: E402  (found through the line above)
import machine  # noqa: E402
import page  # noqa: E402
import rows  # noqa: E402
import table  # noqa: E402

RECORDED = json.loads((HERE / "recorded.json").read_text())
KERNELS = contenders.Contender("kernels", "float32", "graft", "strict", weight_bytes=4)
PEER = contenders.Contender("transformers <5>", "float32", "transformers", weight_bytes=4)


def document():
    """As tools/bench/cpu makes it: kernels, and a peer at half their speed whose name needs escaping."""
    peer = [{**run, "tokens_per_second": run["tokens_per_second"] / 2} for run in RECORDED["kernels"]]
    peer[0]["prefill_tokens_per_second"] /= 1.25  # in one round alone, which leaves the median as it is
    return {
        "model": "A & B",
        "machine": {"processor": "X <1>", "vectors": "AVX2", "cores": 2, "memory_gib": 23.5, "system": "S", "compiler": "c++ 12", "commit": "abc"},
        "rounds": 3,
        "bandwidth": RECORDED["bandwidth"],
        "flops": 190e9,
        "rows": [rows.row_of(who, runs, RECORDED["weights"], peer) for who, runs in ((KERNELS, RECORDED["kernels"]), (PEER, peer))],
        "left_out": [["llama.cpp in Q4_1", "--gguf names no file"]],
        "kernels": rows.kernel_points(RECORDED["benchmarks"]),
    }


class Rows(unittest.TestCase):
    def setUp(self):
        self.row = document()["rows"][0]

    def test_figures_are_least_median_and_most_of_the_rounds(self):
        self.assertEqual(self.row["tokens_per_second"], [40.0, 42.0, 44.0])
        self.assertEqual(self.row["first_token_seconds"], [0.2, 0.25, 0.3])

    def test_the_limit_is_bandwidth_by_bytes_of_a_step(self):
        self.assertAlmostEqual(self.row["limit_tokens_per_second"], 44.419, places=3)

    def test_the_share_of_the_limit_goes_by_the_bandwidth_around_each_run(self):
        self.assertAlmostEqual(self.row["limit_share"], 42 * 538060032 / 23e9, places=4)  # of 40 at 24, 44 at 23.9 and 42 at 23 GB/s

    def test_ratios_are_medians_of_those_within_a_round(self):
        self.assertEqual(self.row["ratios"], {"tokens_per_second": 2.0, "prefill_tokens_per_second": 1.0})
        self.assertNotIn("ratios", rows.row_of(KERNELS, RECORDED["kernels"], RECORDED["weights"]))

    def test_memory_is_held_against_the_weights_with_and_without_libraries(self):
        self.assertAlmostEqual(self.row["weight_mib"], 513.13, places=2)
        self.assertAlmostEqual(self.row["peak_ratio"], 591 / 513.13, places=4)
        self.assertAlmostEqual(self.row["peak_ratio_without_libraries"], (591 - 120.5) / 513.13, places=4)

    def test_what_a_run_does_not_tell_is_left_out(self):
        self.assertNotIn("bind_seconds", self.row)

    def test_the_best_repetition_is_the_machines_limit(self):
        self.assertEqual(rows.counter(RECORDED["benchmarks"], "memory_read", "GB/s"), 23.9e9)

    def test_points_are_kernels_that_ran_and_tell_both_rates(self):
        points = document()["kernels"]
        self.assertEqual([p["name"].split("/")[1] for p in points], ["rows:1", "rows:512"])
        self.assertEqual((points[0]["bytes_per_second"], points[0]["flops_per_second"]), (22e9, 11e9))


class Table(unittest.TestCase):
    def test_a_row_tells_speed_share_and_memory(self):
        line = next(line for line in table.terminal(document()).splitlines() if line.startswith("float32  kernels"))
        for cell in ("42.0 (40.0–44.0)", "2.00", "98% of 44", "510", "0.25", "0.60", "591", "1.15", "0.92"):
            self.assertIn(cell, line)

    def test_markdown_has_a_cell_for_each_column(self):
        lines = [line for line in table.markdown(document()).splitlines() if line.startswith("|")]
        self.assertEqual(len(lines), 4)
        self.assertEqual({line.count("|") for line in lines}, {len(table.COLUMNS) + 1})

    def test_notes_say_who_is_missing_who_disturbed_and_what_costs_too_much(self):
        notes = "\n".join(table.notes(document()))
        self.assertIn("llama.cpp in Q4_1 (--gguf names no file)", notes)
        self.assertIn("up to 11% of the processors", notes)
        self.assertIn("sampling (drawn) takes 3.0%", notes)
        self.assertNotIn("greedy", notes)


class Page(unittest.TestCase):
    def setUp(self):
        self.text = page.page(document())
        self.tree = ElementTree.fromstring(self.text)

    def widths(self):
        return [float(bar.get("width")) for bar in self.tree.iter("rect")]

    def test_it_is_well_formed_and_needs_nothing_from_elsewhere(self):
        self.assertTrue(self.text.startswith("<!DOCTYPE html>"))
        for word in ("http:", "https:", "<script", "src=", "url("):
            self.assertNotIn(word, self.text)

    def test_it_names_machine_model_and_everyone(self):
        words = "".join(self.tree.itertext())
        for word in ("A & B", "X <1>", "commit abc", "transformers <5>, float32", "23.9 GB/s"):
            self.assertIn(word, words)

    def test_bars_are_as_long_as_the_speeds(self):
        kernels, peer = self.widths()
        self.assertAlmostEqual(kernels / peer, 2, places=2)

    def test_no_bar_leaves_its_picture_even_above_the_limit(self):
        fast = document()
        fast["rows"][0]["tokens_per_second"] = [100.0, 900.0, 1000.0]
        self.tree = ElementTree.fromstring(page.page(fast))
        self.assertLess(max(self.widths()), 940 - 190)

    def test_the_roofline_has_a_point_for_each_kernel_below_its_roof(self):
        points = list(self.tree.iter("circle"))
        self.assertEqual(len(points), 2)
        decode, prefill = ((float(p.get("cx")), float(p.get("cy"))) for p in points)
        self.assertLess(decode[0], prefill[0])  # less arithmetic by byte: further left
        self.assertGreater(decode[1], prefill[1])  # and lower

    def test_without_kernels_there_is_no_roofline(self):
        self.assertNotIn("Roofline", page.page({**document(), "kernels": []}))


class Command(unittest.TestCase):
    def run_bench(self, *words):
        return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True)

    def test_help_shows_an_example_and_every_option(self):
        for command in ([BENCH / "cpu"], [BENCH, "cpu"]):
            done = self.run_bench(*command, "--help")
            self.assertEqual(done.returncode, 0, done.stderr)
            for word in ("Example:", "--rounds", "--int8", "--only", "--vectors", "--peer-python", "--gguf", "--html", "--json", "--markdown", "--from", "--model"):
                self.assertIn(word, done.stdout)

    def test_the_folder_as_a_command_refuses_what_it_does_not_know(self):
        done = self.run_bench(BENCH, "tpu")
        self.assertEqual(done.returncode, 2)
        self.assertIn("cpu|gpu|hub|training", done.stderr)

    def test_a_recorded_run_is_shown_again_with_its_page(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "run.json").write_text(json.dumps(document()))
            done = self.run_bench(BENCH / "cpu", "--from", Path(folder) / "run.json", "--html", Path(folder) / "cpu.html")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("98% of 44", done.stdout)
            ElementTree.parse(Path(folder) / "cpu.html")


class Machine(unittest.TestCase):
    def test_vectors_that_a_run_was_held_to_are_its_machines(self):
        self.assertEqual(machine.describe(HERE, HERE / "no-build", "avx2")["vectors"], "avx2 alone")

    def test_it_is_described_without_a_build(self):
        found = machine.describe(HERE, HERE / "no-build")
        self.assertGreaterEqual(found["cores"], 1)
        self.assertGreater(found["memory_gib"], 0)
        self.assertTrue(all(found.values()))

    def test_busy_time_grows(self):
        before = machine.busy_seconds()
        deadline = before + 0.02
        while machine.busy_seconds() < deadline:
            pass
        self.assertGreaterEqual(machine.busy_seconds(), deadline)


if __name__ == "__main__":
    unittest.main()
