"""tools/bench/gpu on figures written down here: floors, shares, whether answers agree, the tables, the command's words."""

import copy
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCH = HERE.parent.parent / "tools" / "bench"
sys.path.insert(0, str(BENCH / "models"))
import gpu_figures as figures  # noqa: E402  (found through the line above)
import gpu_table as table  # noqa: E402

MODEL = {"weight_bytes": 1_200_000_000, "first_token_seconds": 0.5, "decode_tokens_per_second_1": 1250.0, "step_us_1": 800.0,
         "decode_tokens_per_second_8": 6000.0, "step_us_8": 1000.0, "prefill_8k_tokens_per_second": 200_000.0,
         "drawn_step_us_1": 820.0, "nucleus_step_us_1": 830.0, "training_tokens_per_second": 90_000.0, "training_peak_gib": 12.0,
         "padded_training_tokens_per_second": 80_000.0, "padded_training_peak_gib": 7.0}  # fmt: skip
PEER = {"torch": "2.11.0", "transformers": "5.17.0", "first_token_seconds": 2.0, "decode_tokens_per_second_1": 50.0, "decode_tokens_per_second_8": 300.0,
        "prefill_8k_tokens_per_second": 100_000.0, "training_tokens_per_second": 45_000.0, "training_peak_gib": 30.0,
        "padded_training_tokens_per_second": 20_000.0, "padded_training_peak_gib": 30.0}  # fmt: skip
TOKENS = {"ids": [5, 6, 7, 8], "gaps": [0.5, 0.4, 0.0001, 0.3], "largest_logit": 4.0}
DOCUMENT = {
    "gpu": "NVIDIA X",
    "machine": {"processor": "P", "vectors": "AVX2", "cores": 16, "memory_gib": 128, "system": "S", "compiler": "c++ 13", "commit": "abc"},
    "model": "M",
    "config": {"vocab_size": 151936, "hidden_size": 1024, "num_hidden_layers": 28, "num_key_value_heads": 8, "head_dim": 128, "tie_word_embeddings": True},
    "parts": {
        "kernels": {
            "copy_tb_per_second": 3.0,
            "host_us_bound": 0.9,
            "host_us_torch_rms_norm": 4.0,
            "kernels": [{"kernel": "rms_norm", "shape": "4096x1024", "us": 7.0, "share": 0.8, "torch_us": 14.0, "torch_share": 0.4}],
        },
        "operators": {
            "copy_tb_per_second": 2.9,
            "host_us_rms_norm": 10.0,
            "rows": [{"who": "torch eager", "kernel": "rms_norm", "shape": "4096x1024", "bytes": 15_000_000, "seconds": 10e-6}],
        },
        "model on": {**MODEL, "warnings": ["decode on the device runs without a CUDA graph: a reason"]},
        "model off": {**MODEL, "decode_tokens_per_second_1": 100.0, "step_us_1": 10_000.0},
        "transformers": PEER,
        "compiled": {"decode_tokens_per_second_1": 250.0},
        "tokens float32": TOKENS,
        "transformers' tokens float32": {**TOKENS, "logits_difference": 1e-6},
    },
    "left_out": [["FlashInfer", "python3 has no flashinfer"]],
}


def document(**parts):
    """With other parts in the place of these; None takes one away."""
    changed = copy.deepcopy(DOCUMENT)
    changed["parts"].update({name.replace("_", " "): part for name, part in parts.items()})
    changed["parts"] = {name: part for name, part in changed["parts"].items() if part is not None}
    return changed


class Floors(unittest.TestCase):
    def test_a_step_of_one_row_reads_each_weight_once(self):
        self.assertAlmostEqual(figures.floors(DOCUMENT)[1], 1.2e9 / 3e12)

    def test_of_eight_rows_it_reads_their_cache_too(self):
        cache = 8 * 384 * 28 * 8 * 128 * 2 * 2
        self.assertAlmostEqual(figures.floors(DOCUMENT)[8], (1.2e9 + cache) / 3e12)

    def test_an_embedding_that_is_not_the_output_is_not_read(self):
        config = {**DOCUMENT["config"], "tie_word_embeddings": False}
        self.assertEqual(figures.step_bytes(1.2e9, config, 1), 1.2e9 - 151936 * 1024 * 2)

    def test_without_a_bandwidth_there_is_none_and_the_rows_stand_alone(self):
        alone = document(kernels=None, operators=None)
        self.assertEqual(figures.floors(alone), {})
        self.assertIsNone(figures.decode_rows(alone)[0]["floor_share"])
        self.assertIn("1250", table.terminal(alone))


class Decode(unittest.TestCase):
    def rows(self):
        return {(row["batch"], row["who"]): row for row in figures.decode_rows(DOCUMENT)}

    def test_speed_and_step_are_held_against_the_floor_and_transformers(self):
        row = self.rows()[1, "kernels"]
        self.assertAlmostEqual(row["floor_share"], 1250 / 2500)
        self.assertAlmostEqual(row["step_share"], 400 / 800)
        self.assertAlmostEqual(row["ratio"], 25)

    def test_a_peer_that_tells_no_step_has_its_speed(self):
        row = self.rows()[1, "transformers, static cache and torch.compile"]
        self.assertEqual((row["tokens_per_second"], row["step_us"]), (250.0, None))
        self.assertNotIn((8, row["who"]), self.rows())


class Kernels(unittest.TestCase):
    def test_everyones_share_is_of_the_same_bandwidth(self):
        (row,) = figures.kernel_rows(DOCUMENT["parts"])
        self.assertEqual({who: round(share, 6) for who, share in row["shares"].items()}, {"kernel": 0.8, "torch in C++": 0.4, "torch eager": 0.5})

    def test_peers_stand_alone_where_no_kernel_was_measured(self):
        (row,) = figures.kernel_rows(document(kernels=None)["parts"])
        self.assertIsNone(row["us"])
        self.assertAlmostEqual(row["shares"]["torch eager"], 1.5 / 2.9)


class Agreement(unittest.TestCase):
    def agree(self, ids):
        return figures.tokens_agree({**TOKENS, "ids": ids}, TOKENS, 1e-4)

    def test_the_same_tokens_agree(self):
        self.assertEqual(self.agree([5, 6, 7, 8]), (True, "all 4 greedy tokens are transformers'"))

    def test_another_choice_is_right_where_both_are_as_good(self):
        agree, words = self.agree([5, 6, 9, 1])
        self.assertTrue(agree)
        self.assertIn("the first 2 greedy tokens", words)

    def test_another_choice_is_wrong_where_one_is_better(self):
        self.assertFalse(self.agree([5, 9, 7, 8])[0])

    def test_fewer_tokens_are_wrong(self):
        self.assertFalse(self.agree([5, 6])[0])

    def test_logits_that_are_too_far_or_no_numbers_are_wrong(self):
        for difference in (1e-3, float("nan")):
            parts = {"tokens float32": TOKENS, "transformers' tokens float32": {**TOKENS, "logits_difference": difference}}
            self.assertEqual([agree for agree, _ in figures.agreements(parts)], [True, False])


class Table(unittest.TestCase):
    def line(self, text, *words):
        return next(line for line in text.splitlines() if all(word in line for word in words))

    def test_a_model_stands_beside_transformers(self):
        line = self.line(table.terminal(DOCUMENT), "kernels", "200000")
        for cell in ("200000 (2.00 ×)", "90000 (2.00 ×)", "12.0 (0.40 ×)", "0.50 (0.25 ×)"):
            self.assertIn(cell, line)

    def test_what_drawing_adds_to_a_step_stands_beside_it(self):
        heads, rows = table.drawing(DOCUMENT)
        self.assertEqual(rows, [("1", "800", "820", "830")])
        self.assertEqual(len(heads), 4)

    def test_markdown_has_a_cell_for_each_column(self):
        text = table.markdown(DOCUMENT)
        for heads, rows in table.tables(DOCUMENT):
            self.assertIn("| " + " | ".join(heads) + " |", text)
            self.assertEqual({len(row) for row in rows}, {len(heads)})
        self.assertIn("| rms_norm | 4096x1024 | 7.0 | 80% | 40% | 50% |  |  |", text)

    def test_notes_tell_floors_the_hosts_cost_graphs_and_who_is_missing(self):
        notes = "\n".join(table.notes(DOCUMENT))
        for words in ("batch 1: 400 µs, 2500 tokens/s", "a bound RMSNorm 0.9 µs, torch's rms_norm in C++ 4.0 µs, in Python 10.0 µs",
                      "float32: all 4 greedy tokens", "without a CUDA graph: a reason", "left out: FlashInfer (python3 has no flashinfer)"):  # fmt: skip
            self.assertIn(words, notes)

    def test_the_gpu_its_bandwidth_and_the_peers_versions_stand_above(self):
        head = table.terminal(DOCUMENT).splitlines()[0]
        for words in ("NVIDIA X, which copies 3.00 TB/s", "M, bfloat16", "torch 2.11.0, transformers 5.17.0", "commit abc"):
            self.assertIn(words, head)

    def test_nothing_measured_is_no_table(self):
        self.assertEqual(table.tables({**DOCUMENT, "parts": {}}), [])


class Command(unittest.TestCase):
    def run_bench(self, *words):
        return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True)

    def shown(self, shown, *words):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "run.json").write_text(json.dumps(shown))
            return self.run_bench(BENCH / "gpu", "--from", Path(folder) / "run.json", *words)

    def test_help_shows_an_example_and_every_option(self):
        for command in ([BENCH / "gpu"], [BENCH, "gpu"]):
            done = self.run_bench(*command, "--help")
            self.assertEqual(done.returncode, 0, done.stderr)
            for word in ("Example:", "--peer-python", "--model", "--only", "--programs", "--json", "--markdown", "--from"):
                self.assertIn(word, done.stdout)

    def test_an_earlier_run_is_shown_again_in_each_form(self):
        done = self.shown(DOCUMENT)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.rstrip(), table.terminal(DOCUMENT))
        self.assertEqual(self.shown(DOCUMENT, "--markdown").stdout.rstrip(), table.markdown(DOCUMENT))
        self.assertEqual(json.loads(self.shown(DOCUMENT, "--json").stdout), DOCUMENT)

    def test_a_wrong_answer_is_a_failure(self):
        done = self.shown(document(tokens_float32={**TOKENS, "ids": [9, 6, 7, 8]}))
        self.assertEqual(done.returncode, 1)
        self.assertIn("WRONG: float32: the first 0", done.stdout)

    def test_a_program_that_is_missing_is_named(self):
        done = self.run_bench(BENCH / "gpu", "--programs", "/no/such/folder")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/no/such/folder/gpu_bench is not there", done.stderr)

    def test_a_program_that_fails_is_left_out_with_its_last_words(self):
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "gpu_bench"
            program.write_text("#!/bin/sh\necho first >&2; echo no device >&2; exit 1\n")
            program.chmod(0o755)
            done = self.run_bench(BENCH / "gpu", "--programs", folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("left out: kernels (exit 1: no device)", done.stdout)
        self.assertIn("left out: the model (it could not be made: --peer-python names no Python with it; give --model)", done.stdout)

    def test_a_program_that_prints_its_figures_is_shown(self):
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "gpu_bench"
            program.write_text(f"#!/bin/sh\necho a log line; echo '{json.dumps(DOCUMENT['parts']['kernels'])}'\n")
            program.chmod(0o755)
            done = self.run_bench(BENCH / "gpu", "--programs", folder, "--only", "kernels")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("3.00 TB/s", done.stdout)


if __name__ == "__main__":
    unittest.main()
