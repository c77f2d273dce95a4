"""Takes draws back from generators of the CPU; imported by vLLM's engine process, which is told its name.

A prompt that is read in several steps is sampled from at the end of each, and every draw but the last is taken back by
moving the generator's offset. A generator of the CPU has no offset: the call raises and the engine ends (vLLM 0.32,
`GPUModelRunner._bookkeeping_sync`). Without this, any request with a `seed` could do so while the engine is busy.
"""

from typing import Any

import torch
from vllm.v1.worker.cpu_model_runner import CPUModelRunner


class CpuGenerators:
    """What `--worker-extension-cls` asks for; it adds nothing to the worker but this module's import."""


def _before_draws(runner: Any) -> dict[int, torch.Tensor]:
    """By place in the batch, the state of each generator whose next draw will be taken back."""
    batch = runner.input_batch
    is_partial = runner.discard_request_mask.np[: batch.num_reqs]
    return {place: generator.get_state() for place, generator in batch.generators.items() if is_partial[place]}


def _install(runner: Any) -> None:
    sample, keep_books = runner._sample, runner._bookkeeping_sync  # noqa: SLF001 - there is no public place for this

    def sample_remembering(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.states_before_draws = _before_draws(self)
        return sample(self, *args, **kwargs)

    def keep_books_without_offsets(self: Any, *args: Any, **kwargs: Any) -> Any:
        generators = self.input_batch.generators
        rewound = {}
        for place, state in self.states_before_draws.items():
            rewound[place] = generators.pop(place)
            rewound[place].set_state(state)
        try:
            return keep_books(self, *args, **kwargs)
        finally:
            generators.update(rewound)

    runner._sample = sample_remembering  # noqa: SLF001
    runner._bookkeeping_sync = keep_books_without_offsets  # noqa: SLF001


_install(CPUModelRunner)
