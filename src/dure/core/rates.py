"""What one accelerator can do: peak rates from its maker's data sheet."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """Peak rates of one device.

    Attributes:
        peak_tflops: dense BF16, without sparsity.
        memory_gb, bandwidth_gb_s: of its memory, decimal.
        source: the data sheet.
        serves_only: made to serve models; no other work is sized on it.
    """

    peak_tflops: int
    memory_gb: int
    bandwidth_gb_s: int
    source: str
    serves_only: bool = False


# Where a sheet gives figures with sparsity or of a whole system, half or an eighth is taken.
RATES: dict[str, Rate] = {
    "A100": Rate(312, 80, 2039, "NVIDIA A100 80GB SXM data sheet"),
    "L40S": Rate(362, 48, 864, "NVIDIA L40S data sheet"),
    "H100": Rate(989, 80, 3350, "NVIDIA H100 SXM data sheet"),
    "H200": Rate(989, 141, 4800, "NVIDIA H200 SXM data sheet"),
    "B200": Rate(2250, 180, 8000, "NVIDIA DGX B200 data sheet, an eighth"),
    "RNGD": Rate(256, 48, 1500, "FuriosaAI RNGD hardware specification", serves_only=True),
}
