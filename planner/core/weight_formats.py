"""How many bytes a weight takes by the name of its format, and in what it is multiplied."""

from planner.core.model_size import WeightFormat

WIDE = 2.0
"""Of a number in 16 bits [B]."""
_GROUPED_4_BITS = (4 + 16 / 128 + 4 / 128) / 8
"""Groups of 128 weights with a scale in 16 bits and a zero point in 4 (GPTQ, AWQ) [B]."""
_MXFP4 = (4 + 8 / 32) / 8
"""Blocks of 32 with a scale in 8 bits (OCP Microscaling Formats 1.0, 2023) [B]."""
_NVFP4 = (4 + 8 / 16) / 8
"""Blocks of 16 with a scale in 8 bits [B]."""

FORMATS = {
    "bfloat16": WeightFormat(WIDE, WIDE, WIDE, "bfloat16"),
    "float16": WeightFormat(WIDE, WIDE, WIDE, "bfloat16"),
    "fp8": WeightFormat(1.0, 1.0, WIDE, "fp8"),
    "int8": WeightFormat(1.0, 1.0, WIDE, "int8"),
    "int4": WeightFormat(_GROUPED_4_BITS, _GROUPED_4_BITS, WIDE, "bfloat16"),
    "mxfp4": WeightFormat(_MXFP4, _MXFP4, WIDE, "bfloat16"),
    "nvfp4": WeightFormat(_NVFP4, _NVFP4, WIDE, "fp4"),
}
"""By name. Products of int4 and mxfp4 weights are taken to be in 16 bits, as engines without kernels of 4 bits do."""

SAME_AS = {"half": "float16", "awq": "int4", "gptq": "int4", "awq_marlin": "int4", "gptq_marlin": "int4",
           "fbgemm_fp8": "fp8", "gpt_oss_mxfp4": "mxfp4"}  # fmt: skip
"""Names of methods that store weights in one of these formats."""

NAMES = (*FORMATS, *SAME_AS)


def weight_format(name: str, *, has_experts: bool) -> WeightFormat:
    """The format of a name.

    Args:
        name: one of `NAMES`.
        has_experts: whether the model has experts, which is all that mxfp4 is then used for.

    Example:
        >>> weight_format("mxfp4", has_experts=True).linear_bytes
        2.0
    """
    known = SAME_AS.get(name, name)
    found = FORMATS[known]
    if known == "mxfp4" and has_experts:
        return WeightFormat(WIDE, found.expert_bytes, WIDE, found.operands)
    return found
