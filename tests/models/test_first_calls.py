"""What MKL looks up at the first call of a function is looked up by one thread, before a model calls it from several."""

import subprocess
import sys

PROGRAM = """
import torch
from torch.utils._python_dispatch import TorchDispatchMode

class First(TorchDispatchMode):
    sizes = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if args and isinstance(args[0], torch.Tensor):
            self.sizes.setdefault((func.overloadpacket.__name__, args[0].dtype), args[0].numel())
        return func(*args, **(kwargs or {}))

with First() as first:
    import mechviz as mv
    mv.load().trace("When Mary and John went to the store")
for name in ("tanh", "exp", "erf", "log"):
    print(name, first.sizes[name, torch.float32], first.sizes[name, torch.float64])
"""


def test_the_first_call_of_each_function_in_a_process_is_of_one_number() -> None:
    out = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    assert out.splitlines() == ["tanh 1 1", "exp 1 1", "erf 1 1", "log 1 1"]
