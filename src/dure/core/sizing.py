"""The size that stated work needs: evidence beside the wish."""

from dataclasses import dataclass

from dure.core.events.programme import Work

DAY_S = 86_400
# Dense BF16 TFLOP/s of one GPU, from NVIDIA's data sheets (A100 SXM, H100 SXM, H200 SXM, HGX B200).
PEAK_TFLOPS = {"A100": 312, "H100": 989, "H200": 989, "B200": 2250}


@dataclass(frozen=True, slots=True)
class Sizing:
    """What is assumed where an application does not say.

    Attributes:
        mfu_milli: model FLOP/s utilisation, per thousand, if none is stated.
        mfu_milli_min: a stated one below it counts as this: poor code is not paid in GPUs.
        available_milli: part of the term in which the GPUs compute (faults, waiting, loading).
        trials_milli: compute of the whole project for each 1000 of the final training.
    """

    mfu_milli: int = 350
    mfu_milli_min: int = 200
    available_milli: int = 850
    trials_milli: int = 2000


def needed_gpus(
    work: Work, *, accelerator: str, months: int, sizing: Sizing | None = None
) -> int | None:
    """Work out the GPUs that would finish the stated training in the term.

    ``6 x parameters x tokens`` FLOP, times the trials, over what one GPU does in the term.

    Returns:
        GPUs, rounded up, >= 1; None where nothing can be derived (other kinds of work, numbers or
        an accelerator not known): then the wish stands alone before the reviewers.

    Source:
        Kaplan et al. 2020 (arXiv 2001.08361), C = 6 N D.
    """
    rules = sizing or Sizing()
    peak_tflops = PEAK_TFLOPS.get(accelerator)
    if work.kind not in ("pretraining", "finetuning") or peak_tflops is None or months < 1:
        return None
    if work.parameters_m < 1 or work.tokens_m < 1:
        return None
    mfu_milli = max(work.mfu_milli or rules.mfu_milli, rules.mfu_milli_min)
    # Both sides in units of 1e12 FLOP; a millionth and three thousandths are multiplied out.
    wanted = 6 * work.parameters_m * work.tokens_m * rules.trials_milli * 1000
    one_gpu = peak_tflops * mfu_milli * rules.available_milli * months * 30 * DAY_S
    return max(1, -(-wanted // one_gpu))
