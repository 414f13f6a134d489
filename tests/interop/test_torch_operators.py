"""Graft's operators in Python's torch: torch.library.opcheck, torch.compile without a graph break, torch.export."""

import subprocess
import sys
import sysconfig
import tempfile
import unittest
from pathlib import Path

import torch_layers

torch = None
PATIENCE = 300  # seconds; a process that imports torch on a busy machine


def setUpModule():
    global torch
    torch = torch_layers.load()
    if torch is None:
        raise unittest.SkipTest(
            f"Python's torch is not in {torch_layers.PACKAGES}; to install it: python3 tools/setup --only torch_python"
        )
    if torch_layers.DEVICE == "cuda" and not torch.cuda.is_available():
        raise unittest.SkipTest("there is no GPU that Python's torch can use")


def backends():
    """inductor compiles C++ against Python's headers, which not every machine has"""
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    return ["aot_eager", "inductor"] if headers.exists() else ["aot_eager"]


def tuple_of(outputs):
    return outputs if isinstance(outputs, (tuple, list)) else (outputs,)


class Case(unittest.TestCase):
    def setUp(self):
        torch._dynamo.reset()

    def each(self, check):
        """Calls check(operator, inputs, arguments, own) for each layer"""
        for name, layer in torch_layers.layers(torch).items():
            with self.subTest(name):
                check(*layer)

    def assert_same(self, ours, own, inputs):
        """Outputs and, along one direction of all outputs, gradients"""
        ours, own = tuple_of(ours), tuple_of(own)
        self.assertEqual(len(ours), len(own))
        needing = [x for x in inputs if x.requires_grad]
        gradients = []
        for outputs in (ours, own):
            generator = torch.Generator(torch_layers.DEVICE).manual_seed(2)
            total = sum((torch.randn(o.shape, generator=generator) * o).sum() for o in outputs)
            gradients.append(torch.autograd.grad(total, needing))
        for a, b in (*zip(ours, own), *zip(*gradients)):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


class Operators(Case):
    def test_give_what_the_layers_give(self):
        def check(operator, inputs, arguments, own):
            self.assert_same(operator(*inputs, **arguments), own(*inputs), inputs)

        self.each(check)

    def test_pass_opcheck(self):
        def check(operator, inputs, arguments, _):
            torch.library.opcheck(operator.default, inputs, arguments)

        self.each(check)

    def test_pass_opcheck_without_gradients(self):
        def check(operator, inputs, arguments, _):
            torch.library.opcheck(operator.default, tuple(x.detach() for x in inputs), arguments)

        self.each(check)

    def test_forward_and_backward_operators_pass_opcheck(self):
        x, weight, gradient = torch.randn(3, 8), torch.randn(8), torch.randn(3, 8)
        arguments = {"eps": 1e-6, "kernel_ref": "graft-kernels/norm:RMSNorm"}
        torch.library.opcheck(torch.ops.graft.RMSNorm_1_forward.default, (x, weight), arguments)
        _, rstd = torch.ops.graft.RMSNorm_1_forward(x, weight, **arguments)
        backward = torch.ops.graft.RMSNorm_1_backward
        torch.library.opcheck(backward.default, (gradient, x, weight, rstd, [True, True]), arguments)
        no_x, of_weight = backward(gradient, x, weight, rstd, [False, True], **arguments)
        self.assertIsNone(no_x)
        self.assertEqual(of_weight.shape, weight.shape)

    def test_say_which_kernel_failed_and_why(self):
        x = torch.randn(2, 8)
        for kernel, why in (
            ("graft-kernels/norm:NoSuchEntry", "the plugin has no such entry"),
            ("graft-kernels/mlp:SiLU", "its contract is SiLU/1"),
            ("not a reference", "not a reference"),
        ):
            with self.assertRaisesRegex(RuntimeError, why):
                torch.ops.graft.RMSNorm_1(x, torch.ones(8), eps=1e-6, kernel_ref=kernel)

    def test_refuse_shapes_that_break_the_contract_in_a_trace_too(self):
        def norm(x, weight):
            return torch.ops.graft.RMSNorm_1(x, weight, eps=1e-6, kernel_ref="graft-kernels/norm:RMSNorm")

        with self.assertRaisesRegex(Exception, r"weight has shape \[7\]"):
            torch.compile(norm, backend="aot_eager", fullgraph=True)(torch.randn(2, 8), torch.ones(7))


class Compiled(Case):
    def test_without_a_graph_break_forward_and_backward(self):
        for backend in backends():

            def check(operator, inputs, arguments, own):
                def between(call):
                    def function(*tensors):
                        outputs = tuple_of(call(*(t * 1.5 if t.requires_grad else t for t in tensors)))
                        return tuple(output + 1 for output in outputs)

                    return function

                torch._dynamo.reset()
                ours = between(lambda *tensors: operator(*tensors, **arguments))
                compiled = torch.compile(ours, backend=backend, fullgraph=True)
                self.assert_same(compiled(*inputs), between(own)(*inputs), inputs)

            with self.subTest(backend):
                self.each(check)

    def test_for_all_sizes_at_once(self):
        for backend in backends():
            for name in torch_layers.layers(torch):
                with self.subTest(f"{backend} {name}"):
                    torch._dynamo.reset()
                    torch._dynamo.utils.counters.clear()
                    operator, _, arguments, _ = torch_layers.layers(torch)[name]
                    compiled = torch.compile(
                        lambda *tensors: operator(*tensors, **arguments), backend=backend, fullgraph=True, dynamic=True
                    )
                    for tokens in (5, 9, 6):
                        _, inputs, _, own = torch_layers.layers(torch, tokens)[name]
                        self.assert_same(compiled(*inputs), own(*inputs), inputs)
                    self.assertEqual(torch._dynamo.utils.counters["stats"]["unique_graphs"], 1)

    def test_a_trace_holds_the_operators_and_nothing_of_their_insides(self):
        held = []

        def look(graph, _):
            held.append({str(node.target) for node in graph.graph.nodes if node.op == "call_function"})
            return graph.forward

        from torch._dynamo.backends.common import aot_autograd

        x, weight = torch.randn(3, 8, requires_grad=True), torch.ones(8, requires_grad=True)
        compiled = torch.compile(
            lambda x, w: torch.ops.graft.RMSNorm_1(x, w, eps=1e-6, kernel_ref="graft-kernels/norm:RMSNorm"),
            backend=aot_autograd(fw_compiler=look, bw_compiler=look),
            fullgraph=True,
        )
        compiled(x, weight).sum().backward()
        self.assertEqual(
            [{target for target in graph if target.startswith("graft.")} for graph in held],
            [{"graft.RMSNorm_1_forward.default"}, {"graft.RMSNorm_1_backward.default"}],
        )
        held.clear()
        torch._dynamo.reset()
        with torch.no_grad():
            compiled(x, weight)
        self.assertEqual(held, [{"graft.RMSNorm_1.default"}])


class Block(Case):
    """A module of several operators, trained and exported as users do"""

    @staticmethod
    def module():
        class Block(torch.nn.Module):
            def __init__(self):
                super().__init__()
                torch.manual_seed(3)
                self.norm = torch.nn.Parameter(torch.ones(16))
                self.gate, self.up = (torch.nn.Parameter(torch.randn(24, 16) / 4) for _ in range(2))
                self.down = torch.nn.Parameter(torch.randn(16, 24) / 4)

            def forward(self, x):
                ops = torch.ops.graft
                y = ops.RMSNorm_1(x, self.norm, eps=1e-6, kernel_ref="graft-kernels/norm:RMSNorm")
                return x + ops.SwiGLUMLP_1(y, self.gate, self.up, self.down, kernel_ref="graft-kernels/mlp:SwiGLUMLP")

        return Block()

    def test_learns_compiled_what_it_learns_eagerly(self):
        losses = []
        for backend in ("eager", *backends()):
            torch._dynamo.reset()
            block = self.module()
            forward = torch.compile(block, backend=backend, fullgraph=True)
            optimizer = torch.optim.SGD(block.parameters(), lr=0.05)
            x, wanted = torch.randn(4, 16, generator=torch.Generator(torch_layers.DEVICE).manual_seed(4)), torch.ones(4, 16)
            losses.append([])
            for _ in range(5):
                optimizer.zero_grad()
                loss = (forward(x) - wanted).square().mean()
                loss.backward()
                optimizer.step()
                losses[-1].append(loss.item())
        self.assertLess(losses[0][-1], losses[0][0])
        for other in losses[1:]:
            torch.testing.assert_close(torch.tensor(other), torch.tensor(losses[0]), rtol=1e-4, atol=1e-5)

    def test_exported_saved_and_run_by_another_process(self):
        block, x = self.module(), torch.randn(5, 16)
        tokens = torch.export.Dim("tokens", min=2, max=512)
        exported = torch.export.export(block, (x,), dynamic_shapes={"x": {0: tokens}})
        held = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
        self.assertLessEqual({"graft.RMSNorm_1.default", "graft.SwiGLUMLP_1.default"}, held)
        with tempfile.TemporaryDirectory() as folder:
            other = torch.randn(7, 16)
            torch.export.save(exported, f"{folder}/block.pt2")
            torch.save(other, f"{folder}/x.pt")
            code = (
                "import torch_layers; torch = torch_layers.load();"
                f"block = torch.export.load({folder + '/block.pt2'!r}).module();"
                f"torch.save(block(torch.load({folder + '/x.pt'!r})).detach(), {folder + '/y.pt'!r})"
            )
            ran = subprocess.run(
                [sys.executable, "-B", "-c", code],
                cwd=Path(__file__).parent,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
            self.assertEqual(ran.returncode, 0, ran.stderr)
            torch.testing.assert_close(torch.load(f"{folder}/y.pt"), block(other).detach())


if __name__ == "__main__":
    unittest.main()
