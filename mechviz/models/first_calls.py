"""The first call of torch's elementwise functions on a processor, made on one number before a model makes it on many.

MKL looks each of its vector functions up when it is first called. When two threads of torch are the first together, one
may get a kernel of half the digits for that call (https://github.com/pytorch/pytorch/issues/188792, MKL before 2025): tanh
in the first forward pass of a process is then wrong by 1e-4, and a replay, which is right, looks like that of another model.
"""

from functools import cache

import torch

# Those that torch takes from MKL and that a model may call.
_FUNCTIONS = """
    acos asin atan ceil cos cosh erf erfc erfinv exp expm1 floor lgamma log log10 log1p log2 round sin sinh sqrt tan tanh trunc
""".split()


@cache
def make_first_calls() -> None:
    """Make the first call of every such function, once in a process; it takes about a millisecond."""
    if not torch.backends.mkl.is_available():
        return
    with torch.inference_mode():
        for dtype in (torch.float32, torch.float64):
            one = torch.ones(1, dtype=dtype, device="cpu")
            for name in _FUNCTIONS:
                getattr(torch, name)(one)
