"""Graft's operators in Python's torch: the library, and for each operator inputs and what the layer itself computes."""

import os
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "tools" / "setup"))

import torch_python  # noqa: E402  (found through the line above)

LIBRARY = Path(os.environ.get("GRAFT_LIBRARY") or SOURCE / "build" / "lib" / "libgraft.so")
PACKAGES = Path(os.environ.get("GRAFT_TORCH_PYTHON") or torch_python.folder())
DEVICE = os.environ.get("GRAFT_TEST_DEVICE") or "cpu"  # where all tensors are
# What has no backward there, or does not serve float32.
NOT_ON = {"cuda": ("Linear", "Linear_without_bias", "attention", "attention_with_mask")}


def load():
    """Python's torch, with Graft's operators in it; None if there is no torch that Graft is built for"""
    if (PACKAGES / "torch").is_dir():
        sys.path.insert(0, str(PACKAGES))
    try:
        import torch
    except ImportError:
        return None
    if not torch.__version__.startswith("2.11."):
        return None
    torch.ops.load_library(str(LIBRARY))
    torch.set_default_device(DEVICE)
    return torch


def rms_norm(torch, x, weight, eps):
    return torch.nn.functional.rms_norm(x, weight.shape, weight, eps)


def rotate(torch, x, cos, sin):
    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return x * cos.unsqueeze(1) + turned * sin.unsqueeze(1)


def attention(torch, q, k, v, mask, scale):
    group = q.shape[1] // k.shape[1]
    k, v = (t.repeat_interleave(group, dim=1) for t in (k, v))
    scores = (q @ k.transpose(-1, -2)) * scale
    seen = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(k.shape[2] - q.shape[2])
    if mask is not None:
        seen = seen & mask
    return (scores.masked_fill(~seen, float("-inf")).softmax(-1) @ v).transpose(1, 2)


def layers(torch, tokens=5):
    """{name: (operator, inputs, further arguments, what the layer itself computes)}; inputs of a gradient require one.

    `tokens` is a size that changes from call to call.
    """
    made = torch.Generator(DEVICE).manual_seed(1)

    def draw(*sizes):
        return (torch.randn(sizes, generator=made) / 2).requires_grad_()

    def plain(*sizes):
        return torch.randn(sizes, generator=made)

    ops, functional = torch.ops.graft, torch.nn.functional
    norm = {"eps": 1e-6, "kernel_ref": "graft-kernels/norm:RMSNorm"}
    labels = torch.randint(0, 11, (tokens,), generator=made)
    labels[1] = -100
    mask = torch.ones(1, 1, tokens, tokens + 2, dtype=torch.bool)
    mask[..., 1] = False
    attend = {"scale": 0.35, "kernel_ref": "graft-kernels/attention:Attention"}
    heads = (draw(2, 4, tokens, 8), draw(2, 2, tokens + 2, 8), draw(2, 2, tokens + 2, 8))
    every = {
        "RMSNorm": (ops.RMSNorm_1, (draw(2, tokens, 16), draw(16)), norm, lambda x, w: rms_norm(torch, x, w, 1e-6)),
        "AddRMSNorm": (
            ops.AddRMSNorm_1,
            (draw(2, tokens, 16), draw(2, tokens, 16), draw(16)),
            {**norm, "kernel_ref": "graft-kernels/norm:AddRMSNorm"},
            lambda x, r, w: (rms_norm(torch, x + r, w, 1e-6), x + r),
        ),
        "Linear": (
            ops.Linear_1,
            (draw(2, tokens, 16), draw(12, 16), draw(12)),
            {"kernel_ref": "graft-kernels/linear:Linear"},
            functional.linear,
        ),
        "Linear_without_bias": (
            ops.Linear_1,
            (draw(2, tokens, 16), draw(12, 16)),
            {"kernel_ref": "graft-kernels/linear:Linear"},
            functional.linear,
        ),
        "SwiGLUMLP": (
            ops.SwiGLUMLP_1,
            (draw(2, tokens, 16), draw(24, 16), draw(24, 16), draw(16, 24)),
            {"kernel_ref": "graft-kernels/mlp:SwiGLUMLP"},
            lambda x, gate, up, down: (functional.silu(x @ gate.T) * (x @ up.T)) @ down.T,
        ),
        "SiLU": (ops.SiLU_1, (draw(2, tokens, 16),), {"kernel_ref": "graft-kernels/mlp:SiLU"}, functional.silu),
        "SiluAndMul": (
            ops.SiluAndMul_1,
            (draw(tokens, 16),),
            {"kernel_ref": "graft-kernels/mlp:SiluAndMul"},
            lambda x: functional.silu(x[..., :8]) * x[..., 8:],
        ),
        "rotary_pos_emb": (
            ops.rotary_pos_emb_1,
            (draw(2, 4, tokens, 8), draw(2, 2, tokens, 8), plain(1, tokens, 8), plain(1, tokens, 8)),
            {"kernel_ref": "graft-kernels/rope:RotaryPosEmb"},
            lambda q, k, cos, sin: (rotate(torch, q, cos, sin), rotate(torch, k, cos, sin)),
        ),
        "attention": (ops.attention_1, heads, attend, lambda q, k, v: attention(torch, q, k, v, None, 0.35)),
        "attention_with_mask": (
            ops.attention_1,
            (*heads, mask),
            attend,
            lambda q, k, v, mask: attention(torch, q, k, v, mask, 0.35),
        ),
        "ForCausalLMLoss": (
            ops.ForCausalLMLoss_1,
            (draw(tokens, 16), draw(11, 16), labels),
            {"kernel_ref": "graft-kernels/loss:ForCausalLMLoss"},
            lambda hidden, weight, labels: functional.cross_entropy(hidden @ weight.T, labels),
        ),
    }
    return {name: layer for name, layer in every.items() if name not in NOT_ON.get(DEVICE, ())}
