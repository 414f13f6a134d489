"""What tools/bench/gpu's figures say: shares of what the memory allows, ratios to transformers, whether the answers agree. `parts` holds what
each process printed, by its name; any of them may be missing."""

BATCHES = (1, 8, 32)
WHO = {"model off": "own layers", "model on": "kernels", "transformers": "transformers", "compiled": "transformers, static cache and torch.compile"}
# How far apart logits may be, as a share of the largest: float32's sums in another order, bfloat16's roundings in each layer.
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.05}
STEP_TOKENS = 384  # in the KV cache on average while gpu_bench takes a step's time: 128 of the prompt, 128 to 384 new ones


def bandwidth(parts):
    """Of a copy, bytes/s; None if nobody measured it."""
    found = [parts[name]["copy_tb_per_second"] * 1e12 for name in ("kernels", "operators", "FlashInfer") if name in parts]
    return found[0] if found else None


def step_bytes(weights, config, batch):
    """What a decode step must read, in bfloat16. `weights`: bytes of all. One row's cache is little beside them and left out, which
    makes its floor the stricter one; where the embedding is not the output's weight too, a step reads only a row of it."""
    if not config["tie_word_embeddings"]:
        weights -= 2 * config["vocab_size"] * config["hidden_size"]
    cache = 2 * 2 * config["num_hidden_layers"] * config["num_key_value_heads"] * config["head_dim"] * STEP_TOKENS
    return weights + (batch * cache if batch > 1 else 0)


def floors(document):
    """Batch → seconds of a step at the copy's bandwidth; empty if that or the weights are not known."""
    parts = document["parts"]
    weights = next((parts[name]["weight_bytes"] for name in WHO if "weight_bytes" in parts.get(name, {})), None)
    speed = bandwidth(parts)
    if weights is None or speed is None:
        return {}
    return {batch: step_bytes(weights, document["config"], batch) / speed for batch in BATCHES}


def decode_rows(document):
    """[{batch, who, tokens_per_second, floor_share, step_us, step_share, ratio}]; a value that is not known is None."""
    parts, floor, rows = document["parts"], floors(document), []
    for batch in BATCHES:
        peer = parts.get("transformers", {}).get(f"decode_tokens_per_second_{batch}")
        for name, who in WHO.items():
            speed, step = (parts.get(name, {}).get(f"{key}_{batch}") for key in ("decode_tokens_per_second", "step_us"))
            if speed is None:
                continue
            rows.append(
                {
                    "batch": batch,
                    "who": who,
                    "tokens_per_second": speed,
                    "floor_share": speed * floor[batch] / batch if floor else None,
                    "step_us": step,
                    "step_share": floor[batch] * 1e6 / step if floor and step else None,
                    "ratio": speed / peer if peer else None,
                }
            )
    return rows


def kernel_rows(parts):
    """[{kernel, shape, us, shares: {who: share of the bandwidth}}]; who: "kernel", "torch in C++" and the peers."""
    rows, speed = {}, bandwidth(parts)

    def row(each):
        return rows.setdefault((each["kernel"], each["shape"]), {"kernel": each["kernel"], "shape": each["shape"], "us": None, "shares": {}})

    for each in parts.get("kernels", {}).get("kernels", []):
        row(each).update(us=each["us"], shares={"kernel": each["share"], "torch in C++": each["torch_share"]})
    for name in ("operators", "FlashInfer"):
        for each in parts.get(name, {}).get("rows", []):
            row(each)["shares"][each["who"]] = each["bytes"] / each["seconds"] / speed
    return sorted(rows.values(), key=lambda row: row["kernel"])


def tokens_agree(mine, theirs, tolerance):
    """(whether, in words). Where two choices are as good within the tolerance either may be taken, and what follows is another text."""
    if len(mine["ids"]) != len(theirs["ids"]):
        return False, f"{len(mine['ids'])} greedy tokens, and {len(theirs['ids'])} of transformers'"
    same = next((i for i, pair in enumerate(zip(mine["ids"], theirs["ids"])) if pair[0] != pair[1]), None)
    if same is None:
        return True, f"all {len(mine['ids'])} greedy tokens are transformers'"
    gap, allowed = max(mine["gaps"][same], theirs["gaps"][same]), tolerance * theirs["largest_logit"]
    return gap <= allowed, f"the first {same} greedy tokens are transformers'; then the first two logits are {gap:.1e} apart (tolerance {allowed:.1e})"


def agreements(parts):
    """[(whether, in words)] for each dtype that both answered in. Tokens are compared in float32 alone: in bfloat16 ties are common."""
    found = []
    for dtype, tolerance in TOLERANCE.items():
        mine, theirs = parts.get(f"tokens {dtype}"), parts.get(f"transformers' tokens {dtype}")
        if mine and theirs and dtype == "float32":
            agree, words = tokens_agree(mine, theirs, tolerance)
            found.append((agree, f"{dtype}: {words}"))
        if mine and theirs and "logits_difference" in theirs:
            difference = theirs["logits_difference"]
            words = f"the prompt's logits are within {difference:.1e} of transformers', as a share of the largest (tolerance {tolerance:g})"
            found.append((difference <= tolerance, f"{dtype}: {words}"))
    return found
