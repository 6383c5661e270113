"""A processor of each instruction set, for programs that are looked at and not run: whatever machine this is."""

from faltung.machine.target import Target

X86_64, AARCH64 = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
KB, MB = 1024, 1024 * 1024

# LLVM splits 512-bit vectors on several processors unless told not to
SSE2 = Target(X86_64, "x86-64", "-prefer-256-bit", 16, 16, False, 32 * KB, 512 * KB, 8 * MB)
AVX2 = Target(X86_64, "haswell", "-prefer-256-bit", 32, 16, True, 32 * KB, 512 * KB, 8 * MB)
AVX512 = Target(X86_64, "skylake-avx512", "-prefer-256-bit", 64, 32, True, 32 * KB, 1024 * KB, 16 * MB)
NEON = Target(AARCH64, "neoverse-n1", "", 16, 32, True, 64 * KB, 1024 * KB, 32 * MB)

TARGETS = {"sse2": SSE2, "avx2": AVX2, "avx512": AVX512, "neon": NEON}
"""By instruction set."""
