#!/usr/bin/env python3
"""Writes the goldens of tokenizers and chat templates: text → ids → text, and messages → prompt.

Usage: tokenizers_and_chats.py SMOLLM2_FOLDER

tokenizer_cases.json and chat_cases.json are SmolLM2's. tiny-qwen-tokenizer/ and tiny-llama3-tokenizer/ are trained here
on the texts of texts.py, small, but with the components of those families; each folder has its own cases.
"""

import json
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from texts import ENGLISH, TEXTS, with_specials

HERE = Path(__file__).resolve().parent
OUT = HERE.parent

# The split patterns that Qwen2/Qwen3 and Llama 3 publish in their tokenizer.json.
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN_SPLIT = CONTRACTIONS + r"\p{N}" + REST
LLAMA3_SPLIT = CONTRACTIONS + r"\p{N}{1,3}" + REST

USER = {"role": "user", "content": "What is 2 + 2?"}
SYSTEM = {"role": "system", "content": "You answer in one word."}
ANSWER = {"role": "assistant", "content": "Four."}
THOUGHT = {"role": "assistant", "content": "<think>\nTwo and two make four.\n</think>\n\nFour."}
AGAIN = {"role": "user", "content": "And 3 + 3? Über <|im_end|> ümläute 你好"}


def write(path, value, compact=False):
    path.parent.mkdir(exist_ok=True)
    layout = {"separators": (",", ":")} if compact else {"indent": 1}
    path.write_text(json.dumps(value, **layout) + "\n")
    print(f"wrote {path.relative_to(OUT)}, {path.stat().st_size >> 10} KB")


def cases(tokenizer, texts):
    """ids with the tokenizer's own special tokens added (none, for most), and what decoding gives back"""
    rows = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        row = {"text": text, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False)}
        without = tokenizer.decode(ids, skip_special_tokens=True)
        rows.append(row if without == row["decoded"] else {**row, "decoded_without_special": without})
    return rows


def chat_cases(tokenizer, conversations):
    rows = []
    for messages, options in conversations:
        text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
        ids = tokenizer.apply_chat_template(messages, tokenize=True, **options)["input_ids"]
        rows.append({"messages": messages, "options": options, "text": text, "ids": ids})
    return rows


def conversations(extra=()):
    turns = [
        [USER],
        [SYSTEM, USER],
        [USER, ANSWER],
        [USER, ANSWER, AGAIN],
        [SYSTEM, USER, ANSWER, AGAIN],
        [SYSTEM],
        [AGAIN, AGAIN],
        [{"role": "user", "content": ""}],
        [{"role": "system", "content": ""}, USER],
        [{"role": "user", "content": " \n spaced \n "}],
        [USER, SYSTEM],
        [USER, ANSWER, SYSTEM, AGAIN],
        [USER, ANSWER, USER, ANSWER, USER, ANSWER, AGAIN],
    ]
    return [(messages, {"add_generation_prompt": ask}) for messages in turns for ask in (True, False)] + list(extra)


def smollm2(folder):
    # The fast tokenizer alone, so that nothing of transformers' own rules stands between text and ids.
    write(OUT / "tokenizer_cases.json", cases(Tokenizer.from_file(f"{folder}/tokenizer.json"), TEXTS), compact=True)
    write(OUT / "chat_cases.json", chat_cases(AutoTokenizer.from_pretrained(folder), conversations()))


def trained(tokenizer, vocabulary):
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(ENGLISH + TEXTS, trainer)
    return tokenizer


def split_then_bytes(pattern):
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
        ]
    )


def qwen():
    """NFC, Qwen's split, special tokens after the vocabulary, <think> as added tokens that are not special"""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = split_then_bytes(QWEN_SPLIT)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    trained(tokenizer, 900)
    tokenizer.add_special_tokens(
        [AddedToken(t, normalized=False, special=True) for t in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")]
    )
    tokenizer.add_tokens(
        [AddedToken(t, normalized=False, special=False) for t in ("<tool_call>", "</tool_call>", "<think>", "</think>")]
    )
    folder, template = OUT / "tiny-qwen-tokenizer", (HERE / "chatml_thinking.jinja").read_text()
    write(folder / "tokenizer.json", json.loads(tokenizer.to_str()), compact=True)
    write(
        folder / "tokenizer_config.json",
        {
            "add_bos_token": False,
            "add_prefix_space": False,
            "bos_token": None,
            "chat_template": template,
            "clean_up_tokenization_spaces": False,
            "eos_token": "<|im_end|>",
            "errors": "replace",
            "model_max_length": 131072,
            "pad_token": "<|endoftext|>",
            "split_special_tokens": False,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": None,
        },
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=template
    )
    think = lambda messages, **options: (messages, {"add_generation_prompt": True, **options})
    thinking = [
        think([USER], enable_thinking=False),
        think([USER], enable_thinking=True),
        think([SYSTEM, USER, ANSWER, AGAIN], enable_thinking=False),
        think([USER, THOUGHT, AGAIN]),
        think([USER, THOUGHT, AGAIN], enable_thinking=False),
        think([USER, THOUGHT], add_generation_prompt=False),
        think([USER, {"role": "assistant", "content": "\n\nno thought"}], add_generation_prompt=False),
    ]
    write(
        folder / "cases.json",
        {"texts": cases(tokenizer, TEXTS), "chats": chat_cases(fast, conversations(thinking))},
        compact=True,
    )


def llama3():
    """ignore_merges, a begin-of-text template, three digits at a time, and added tokens with every flag"""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = split_then_bytes(LLAMA3_SPLIT)
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True, use_regex=True)
    trained(tokenizer, 700)
    tokenizer.add_special_tokens(
        [AddedToken(t, normalized=False, special=True) for t in ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")]
    )
    flagged = [
        AddedToken("<left>", lstrip=True),
        AddedToken("<right>", rstrip=True),
        AddedToken("<both>", lstrip=True, rstrip=True),
        AddedToken("word", single_word=True),
        AddedToken("<same>", normalized=False),
        AddedToken("<same>er", normalized=False),
    ]
    tokenizer.add_tokens(flagged)
    begin = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A",
                pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                special_tokens=[("<|begin_of_text|>", begin)],
            ),
        ]
    )
    folder = OUT / "tiny-llama3-tokenizer"
    write(folder / "tokenizer.json", json.loads(tokenizer.to_str()), compact=True)
    write(
        folder / "tokenizer_config.json",
        {
            "bos_token": "<|begin_of_text|>",
            "clean_up_tokenization_spaces": True,
            "eos_token": "<|eot_id|>",
            "model_max_length": 131072,
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    )
    flags = [
        "a <left> b",
        "a  <left>  b",
        "a <right> b",
        "a  <right>\n b",
        "a \t<both>\n b",
        "a word b",
        "awordb swords word",
        "word",
        "word.word,word word",
        "_word_ word1 1word éword",
        "<same>er <same>",
        "<left><right><both>",
        " <both> <both> ",
        "x<left>",
        "<right>\u00a0\u2003y",
        "WORD Word",
    ]
    own = with_specials("<|begin_of_text|>", "<|eot_id|>", "<|end_of_text|>")
    write(folder / "cases.json", {"texts": cases(tokenizer, TEXTS + own + flags)}, compact=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    smollm2(sys.argv[1])
    qwen()
    llama3()
